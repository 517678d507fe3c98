import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import type { Benchmark } from "./benchmark.ts";
import type { Child, Children } from "./children.ts";
import { type Row, row } from "./report.ts";
import { Crowd, type Member } from "./subjects/crowd.ts";
import type { Addresses } from "./subjects/programs.ts";
import { descendantsOf, memoryOf } from "./usage.ts";

const DEPLOYED = 1_000;
const ACTIVE = 50;
/** Their isolates have to fit into one host process (runtime.host_memory_max). */
const WARM = 200;
/** Until what a start leaves behind has been collected, and the ready isolates are as many as are wanted. */
const SETTLE_MS = 12_000;
const ROUNDS = 20;
const ROUND_MS = 100;
/** In that time each of all functions gets a message. */
const ALL_MS = 60_000;

interface Memory {
  readonly gateway: { readonly rss: number; readonly pss: number };
  readonly hosts: { readonly rss: number; readonly pss: number };
}

/** What many functions cost that are deployed on one gateway: memory of its processes, and its start. */
export const density: Benchmark = async (_options, children, folder) => {
  const none = await measure({ name: "no function", members: [] }, children, folder);
  const idle = await measure({ name: `${DEPLOYED} functions, warm: 0`, members: membersOf(DEPLOYED, 0) }, children, folder);
  const warm = await measure({ name: `${WARM} functions, warm: 1`, members: membersOf(WARM, 1) }, children, folder);
  return [
    ...none.rows,
    ...idle.rows,
    ...warm.rows,
    row("an idle function, warm: 0", (total(idle.memory) - total(none.memory)) / DEPLOYED / 2 ** 20, "MB"),
    row("an idle function, warm: 1", (total(warm.memory) - total(none.memory)) / WARM / 2 ** 20, "MB"),
  ];
};

function total({ gateway, hosts }: Memory): number {
  return gateway.pss + hosts.pss;
}

function membersOf(count: number, warm: number): Member[] {
  return Array.from({ length: count }, (_, n) => ({
    name: `idle-${n}`,
    filter: `fair/density/${n}/+`,
    out: `fair/density-out/${n}`,
    manifest: { warm },
  }));
}

interface Subject {
  readonly name: string;
  readonly members: readonly Member[];
}

async function measure({ name, members }: Subject, children: Children, folder: string): Promise<{ memory: Memory; rows: Row[] }> {
  process.stderr.write(`${name}: is deployed\n`);
  const crowd = await Crowd.prepare(members, children, join(folder, `density-${name.replaceAll(/\W/g, "-")}`), { prove: false });
  const startedAt = performance.now();
  const gateway = await crowd.start(undefined);
  const readyMs = performance.now() - startedAt;
  await sleep(SETTLE_MS);
  const memory = memoryOfAll(gateway);
  const rows = [row(`${name}: process started to ready`, readyMs, "ms"), ...(await rowsOf(name, gateway, memory))];
  if (members.length >= DEPLOYED) {
    await use(gateway);
    rows.push(...(await rowsOf(`${name}, ${ACTIVE} of them active`, gateway, memoryOfAll(gateway))));
    await useAll(gateway, members.length);
    rows.push(...(await rowsOf(`${name}, each of them within a minute`, gateway, memoryOfAll(gateway))));
    rows.push(row(`${name}: hosts that died`, await Crowd.hostRestarts(gateway.ready), ""));
  }
  await gateway.stop();
  process.stderr.write(`${name}: ready in ${Math.round(readyMs)} ms\n`);
  return { memory, rows };
}

async function use(gateway: Child<Addresses>): Promise<void> {
  const client: MqttClient = await connectAsync(gateway.ready["mqtt"] ?? "");
  for (let round = 0; round < ROUNDS; round++) {
    const payload = JSON.stringify({ n: "a", v: round, t: 0 });
    await Promise.all(Array.from({ length: ACTIVE }, (_, n) => client.publishAsync(`fair/density/${n}/a`, payload, { qos: 1 })));
    await sleep(ROUND_MS);
  }
  await client.endAsync();
}

async function useAll(gateway: Child<Addresses>, members: number): Promise<void> {
  const client: MqttClient = await connectAsync(gateway.ready["mqtt"] ?? "");
  for (let from = 0; from < members; from += ACTIVE) {
    const payload = JSON.stringify({ n: "a", v: from, t: 0 });
    await Promise.all(Array.from({ length: ACTIVE }, (_, n) => client.publishAsync(`fair/density/${from + n}/b`, payload, { qos: 1 })));
    await sleep((ALL_MS * ACTIVE) / members);
  }
  await client.endAsync();
  await Crowd.drained(gateway.ready);
}

function memoryOfAll(gateway: Child<Addresses>): Memory {
  return { gateway: memoryOf([gateway.pid]), hosts: memoryOf(descendantsOf(gateway.pid)) };
}

async function rowsOf(name: string, gateway: Child<Addresses>, memory: Memory): Promise<Row[]> {
  const instances = (await Crowd.functions(gateway.ready)).reduce((sum, each) => sum + each.instances, 0);
  const mb = (what: string, bytes: number): Row => row(`${name}: ${what}`, bytes / 2 ** 20, "MB");
  return [
    row(`${name}: isolates`, instances, ""),
    mb("gateway RSS", memory.gateway.rss),
    mb("gateway PSS", memory.gateway.pss),
    mb("hosts RSS", memory.hosts.rss),
    mb("hosts PSS", memory.hosts.pss),
  ];
}
