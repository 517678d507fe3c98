import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import type { Children } from "./children.ts";
import { type Row, row } from "./report.ts";
import { Crowd, type Member } from "./subjects/crowd.ts";

/** Of each kind. With a pause between two messages each function is scaled to zero again when it has its next turn. */
const FUNCTIONS = 64;
const ROUNDS = 4;
const PAUSE_MS = 20;
const IDLE_MS = 1_000;
const ANSWER_MS_MAX = 10_000;

interface Kind {
  readonly name: string;
  manifest(n: number): NonNullable<Member["manifest"]>;
  readonly starts: boolean;
}

const LIMITS = {
  cpuMs: 50,
  wallMs: 5_000,
  initMs: 2_000,
  outputBytes: 2 ** 20,
  stateValueBytes: 65_536,
  stateBytes: 2 ** 26,
  fetchBytes: 2 ** 20,
};
const KINDS: readonly Kind[] = [
  { name: "isolate ready", manifest: () => ({ idleMs: IDLE_MS }), starts: true },
  // Each has a memory limit that comes so seldom that no isolate is kept for it.
  {
    name: "none ready",
    manifest: (n) => ({ idleMs: IDLE_MS, limits: { ...LIMITS, memoryBytes: (33 + n) * 2 ** 20 } }),
    starts: true,
  },
  { name: "nothing to start", manifest: () => ({ warm: 1 }), starts: false },
];

/** From a publish at QoS 1 that wakes a function without an isolate until what the function publishes has arrived, through a whole gateway. */
export async function wholeWay(children: Children, folder: string): Promise<Row[]> {
  const members = KINDS.flatMap((kind, index) => Array.from({ length: FUNCTIONS }, (_, n) => memberOf(kind, index, n)));
  const crowd = await Crowd.prepare(members, children, join(folder, "whole-way"), { prove: false });
  const gateway = await crowd.start(undefined);
  try {
    const client = await connectAsync(gateway.ready["mqtt"] ?? "");
    // Otherwise the second part of a publish waits for the first to be acknowledged.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    await client.subscribeAsync("fair/way-out/#", { qos: 1 });
    const tookMs = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
    for (let round = 0; round < ROUNDS; round++) {
      await eachOnce(client, (kind, ms) => tookMs.get(kind)?.push(ms));
      process.stderr.write(`whole way: ${round + 1} of ${ROUNDS} rounds\n`);
    }
    await client.endAsync();
    await check(gateway.ready);
    return [...tookMs].flatMap(([kind, all]) => rowsOf(kind, all));
  } finally {
    await gateway.stop();
  }
}

function memberOf(of: Kind, kind: number, n: number): Member {
  return { name: `way-${kind}-${n}`, filter: `fair/way/${kind}-${n}/+`, out: `fair/way-out/${kind}-${n}`, manifest: of.manifest(n) };
}

async function eachOnce(client: MqttClient, took: (kind: Kind, ms: number) => void): Promise<void> {
  for (let n = 0; n < FUNCTIONS; n++) {
    for (const [index, kind] of KINDS.entries()) {
      await sleep(PAUSE_MS);
      took(kind, await answerTo(client, `${index}-${n}`));
    }
  }
}

async function answerTo(client: MqttClient, which: string): Promise<number> {
  const arrived = new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no answer from ${which} within ${ANSWER_MS_MAX} ms`)), ANSWER_MS_MAX);
    client.once("message", (topic) => {
      clearTimeout(late);
      resolve(topic);
    });
  });
  const startedAt = performance.now();
  client.publish(`fair/way/${which}/a`, JSON.stringify({ n: "a", v: 1, t: 0 }), { qos: 1 });
  const topic = await arrived;
  if (topic !== `fair/way-out/${which}/a`) throw new Error(`the answer of another function came: ${topic}`);
  return performance.now() - startedAt;
}

/** What was measured has to have been starts. */
async function check(gateway: Readonly<Record<string, string>>): Promise<void> {
  const functions = await Crowd.functions(gateway);
  for (const [index, { name, starts }] of KINDS.entries()) {
    const all = functions.filter((each) => each.name.startsWith(`way-${index}-`));
    const count = all.reduce((sum, each) => sum + each.starts.count, 0);
    const pooled = all.reduce((sum, each) => sum + each.starts.pooled, 0);
    process.stderr.write(`${name}: ${count} starts, ${pooled} of them found an isolate ready\n`);
    if (starts && count < FUNCTIONS * ROUNDS) throw new Error(`${name}: only ${count} of ${FUNCTIONS * ROUNDS} messages were starts`);
  }
}

function rowsOf({ name }: Kind, all: readonly number[]): Row[] {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return [
    row(`publish to the arrival of its answer, ${name}: p50`, at(0.5), "ms"),
    row(`publish to the arrival of its answer, ${name}: p99`, at(0.99), "ms"),
  ];
}
