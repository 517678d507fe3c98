import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Bundle } from "../../src/core/bundle.ts";
import { encodeMessage } from "../../src/core/message.ts";
import { Journal } from "../../src/journal/journal.ts";
import { buildFunction } from "../../src/runtime/build/build.ts";
import type { Child, Children } from "../children.ts";
import { type Addresses, controlFlags, gatewayFlags, publishBundle, startProgram } from "./programs.ts";

const FUNCTION = fileURLToPath(new URL("../fair", import.meta.url));
/** With so many messages a version has proved that it can be trusted with others. */
const PROOF_MESSAGES = 1_100;
const IN_FLIGHT = 8_192;
const PATIENCE_MS = 120_000;
const POLL_MS = 50;

const statsSchema = z.object({
  runtime: z.object({ hostRestarts: z.int() }),
  functions: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      backlog: z.int(),
      handled: z.int(),
      instances: z.int(),
      starts: z.object({ count: z.int(), pooled: z.int() }),
      error: z.string().optional(),
    }),
  ),
});
export type FunctionRow = z.infer<typeof statsSchema>["functions"][number];

/** One function of the crowd. */
export interface Member {
  readonly name: string;
  readonly filter: string;
  /** Where its results go; empty when it has none. */
  readonly out: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What its manifest says beside that. */
  readonly manifest?: Partial<Pick<Bundle["manifest"], "warm" | "idleMs" | "limits">>;
}

interface Preparation {
  /** False where functions need not have proved that they can be trusted with others. */
  readonly prove?: boolean;
  /** The folder of the function that all of them are; bench/fair by default. */
  readonly source?: string;
}

/** Messages that wait in the journal for functions when the gateway starts. */
export interface Backlog {
  readonly topics: readonly string[];
  readonly messages: number;
  /** Turns of the loop that each of them costs. */
  readonly turns: number;
  /** They come in while all functions run; whoever is caught up has seen them pass when the gateway is killed and started again. */
  readonly seen?: true;
}

/** A gateway with many functions. */
export class Crowd {
  readonly #children: Children;
  readonly #folder: string;
  readonly #prepared: string;
  #copies = 0;

  private constructor(children: Children, folder: string) {
    this.#children = children;
    this.#folder = folder;
    this.#prepared = join(folder, "prepared");
  }

  /** Each function has proved itself, unless that is not needed. No gateway is running afterwards. */
  static async prepare(members: readonly Member[], children: Children, folder: string, how: Preparation = {}): Promise<Crowd> {
    const crowd = new Crowd(children, folder);
    const data = crowd.#prepared;
    mkdirSync(data, { recursive: true });
    const control = await startProgram(children, "control", controlFlags(join(folder, "control")));
    const linked = await startProgram(children, "gateway", gatewayFlags(data, control.ready["mqtt"] ?? ""));
    const bundle = await buildFunction(how.source ?? FUNCTION);
    for (const member of members) await publishBundle(dressed(bundle, member), control.ready["http"] ?? "");
    await until(linked.ready, (functions) => functions.length === members.length && functions.every(({ state }) => state === "active"));
    await linked.stop();
    await control.stop();
    if (how.prove === false) return crowd;
    const topics = [...new Set(members.map(({ filter }) => filter.replace(/\+\w*/, "sensor-0000")))];
    await fill(data, { topics, messages: topics.length * PROOF_MESSAGES, turns: 0 });
    const proving = await startProgram(children, "gateway", gatewayFlags(data, ""));
    await until(proving.ready, (functions) => functions.every(({ handled }) => handled >= PROOF_MESSAGES));
    await proving.stop();
    return crowd;
  }

  /** A gateway as it was prepared, with these messages waiting, alone and without a link. */
  async start(backlog: Backlog | undefined): Promise<Child<Addresses>> {
    const data = join(this.#folder, `gateway-${++this.#copies}`);
    cpSync(this.#prepared, data, { recursive: true });
    if (backlog !== undefined) await fill(data, backlog);
    const gateway = await startProgram(this.#children, "gateway", gatewayFlags(data, ""));
    await until(gateway.ready, (functions) => functions.every(({ state }) => state === "active"));
    return backlog?.seen === true ? this.#startAgain(gateway, data) : gateway;
  }

  /** After a kill, in the middle of a backlog of others. */
  async #startAgain(gateway: Child<Addresses>, data: string): Promise<Child<Addresses>> {
    await until(gateway.ready, (functions) => functions.filter(({ backlog }) => backlog > 0).length === 1);
    const stopped = gateway.stop();
    process.kill(gateway.pid, "SIGKILL");
    await stopped;
    const again = await startProgram(this.#children, "gateway", gatewayFlags(data, ""));
    await until(again.ready, (functions) => functions.every(({ state }) => state === "active"));
    return again;
  }

  static async functions(gateway: Addresses): Promise<readonly FunctionRow[]> {
    return (await Crowd.#stats(gateway)).functions;
  }

  static async hostRestarts(gateway: Addresses): Promise<number> {
    return (await Crowd.#stats(gateway)).runtime.hostRestarts;
  }

  /** Resolves when every message is handled. */
  static async drained(gateway: Addresses): Promise<void> {
    await until(gateway, (functions) => functions.every(({ backlog }) => backlog === 0));
  }

  static async #stats(gateway: Addresses): Promise<z.infer<typeof statsSchema>> {
    return statsSchema.parse(await (await fetch(`${gateway["http"] ?? ""}/v1/stats`)).json());
  }
}

function dressed(bundle: Bundle, { name, filter, out, env, manifest }: Member): Bundle {
  return {
    ...bundle,
    manifest: { ...bundle.manifest, ...manifest, name, triggers: [{ mqtt: filter, durable: true }], env: { OUT: out, ...env } },
  };
}

async function fill(data: string, { topics, messages, turns }: Backlog): Promise<void> {
  await using journal = await Journal.open({ location: join(data, "journal"), batchMax: 1_024 });
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (sent < messages) {
      const n = sent++;
      const topic = topics[n % topics.length] ?? "";
      const time = Date.now();
      const payload = Buffer.from(JSON.stringify({ n: "sensor-0000", v: 20 + Math.random(), t: 0, turns }));
      const record = encodeMessage({ topic, payload, qos: 1, retain: false, time, source: "fill", hops: 0 });
      await new Promise<void>((resolve, reject) =>
        journal.append({ topic, time, hops: 0, record }, (error) => (error === undefined ? resolve() : reject(error))),
      );
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

async function until(gateway: Addresses, done: (functions: readonly FunctionRow[]) => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const functions = await Crowd.functions(gateway);
    if (done(functions)) return;
    const failed = functions.find(({ state }) => state === "failed");
    if (failed !== undefined) throw new Error(`${failed.name} failed to load: ${failed.error ?? ""}`);
    if (performance.now() > deadline) throw new Error(`not done within ${PATIENCE_MS} ms`);
    await sleep(POLL_MS);
  }
}
