import { setImmediate as realTurn } from "node:timers/promises";
import type { Clock } from "../../../src/core/clock.ts";
import { Cursor } from "../../../src/core/cursor.ts";
import { Drops } from "../../../src/core/drops.ts";
import { silentLogger } from "../../../src/core/log.ts";
import type { Manifest } from "../../../src/core/manifest.ts";
import { encodeMessage, type JournaledMessage } from "../../../src/core/message.ts";
import { DeployedFunction } from "../../../src/runtime/function.ts";
import type { FunctionParts } from "../../../src/runtime/function-parts.ts";
import { Outside } from "../../../src/runtime/outside.ts";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";
import { LogRing } from "../../../src/runtime/logs.ts";
import { SourceMaps } from "../../../src/runtime/places.ts";
import { type Route, RouteTable } from "../../../src/runtime/route.ts";
import type { FunctionCommit } from "../../../src/runtime/runtime-journal.ts";
import type { Pressure } from "../../../src/runtime/shedding.ts";
import { Unwritten } from "../../../src/runtime/unwritten.ts";
import { functionOf } from "../../support/functions.ts";
import { type Attempt, type Call, type CallContext, ModelIsolates } from "./model-isolates.ts";
import { ModelJournal } from "./model-journal.ts";

export interface Setting {
  readonly idempotent: boolean;
  readonly stateful: boolean;
  readonly overflow: Manifest["overflow"];
  readonly pendingMax: number;
  readonly stateBytes: number;
  /** Isolates forget the state of all but two keys between batches. */
  readonly fewKeys: boolean;
  /** It may share a host with others from the beginning. */
  readonly proven: boolean;
}

export interface Version {
  readonly filters: readonly string[];
  readonly key?: string;
  readonly order: Manifest["order"];
  readonly lanes: number;
  readonly warm: number;
  readonly idleMs: number;
}

export interface Arrival {
  readonly topic: string;
  /** The idempotency key. */
  readonly id: number | undefined;
  /** Those after the last one are "done". */
  readonly attempts: readonly Attempt[];
  readonly volatile: boolean;
}

/** One run of the gateway. */
interface Run {
  alive: boolean;
}

const clock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(new Error("aborted"));
      });
    }),
};

/**
 * A function with everything that belongs to it: lanes, feed, settling, budget of its state, idempotency keys, shedding, and the code in its
 * isolates. Hosts and journal do what a test says, when it says so. What is written is checked at once: a message is settled once, with strict
 * order after everything before it that has its key, and what a function counts in its state is counted once.
 */
export class FunctionWorld {
  readonly journal = new ModelJournal();
  readonly isolates: ModelIsolates;
  held = false;
  readonly #setting: Setting;
  readonly #attempts = new Map<number, Attempt[]>();
  readonly #ids = new Map<number, number | undefined>();
  /** Messages that have to be settled. */
  readonly #wanted = new Set<number>();
  readonly #settled = new Map<number, "done" | "dead">();
  readonly #wrong: string[] = [];
  #run: Run = { alive: true };
  #function: DeployedFunction | undefined;
  #version: Version;
  #table = new RouteTable<DeployedFunction>([]);
  #number = 0;
  /** Messages below may have been dropped. */
  #shedBelow = 0;
  #pressure: Pressure = { over: false };
  #switching = false;

  constructor(setting: Setting, version: Version) {
    this.#setting = setting;
    this.#version = version;
    this.isolates = new ModelIsolates(setting.fewKeys, (call, ctx) => this.#handle(call, ctx));
  }

  /** The first start, and the one after a crash. */
  async start(version: Version): Promise<void> {
    const run = this.#run;
    const next = this.#make(version, run);
    const { cursor } = this.journal;
    const started = this.#begin(next, version, async () => (cursor === undefined ? new Cursor(1) : Cursor.decode(cursor)));
    await this.#drive(started, () => {
      this.isolates.made(true);
      this.journal.look(0, true);
    });
  }

  /** Another version takes over, as soon as what that needs has happened. */
  switchTo(version: Version): void {
    const before = this.#function;
    if (this.#switching || before === undefined) return;
    this.#switching = true;
    const run = this.#run;
    const next = this.#make(version, run);
    this.#begin(next, version, async () => {
      const cursor = (await before.stop()) ?? new Cursor(1);
      if (run.alive) await this.journal.save(cursor.encode());
      return cursor;
    })
      .catch((error: unknown) => this.#wrong.push(`a switch fails: ${String(error)}`))
      .finally(() => (this.#switching = run === this.#run ? false : this.#switching));
  }

  async #begin(next: DeployedFunction, version: Version, takeOver: () => Promise<Cursor>): Promise<void> {
    const run = this.#run;
    try {
      await next.warm();
    } catch {
      await next.stop();
      return; // What ran before goes on.
    }
    const cursor = await takeOver();
    if (run.alive) await next.remember();
    if (!run.alive) return;
    this.#function = next;
    this.#version = version;
    this.#table = tableOf(next);
    for (const { seq, topic } of this.journal.messages)
      if (!this.#settled.has(seq) && this.#keyOf(topic) === undefined) this.#wanted.delete(seq);
    next.start(cursor, 1);
    if (this.#pressure.over) await next.shed(this.#pressure);
  }

  /** What is not on disk is gone. */
  async crash(version: Version): Promise<void> {
    this.#run.alive = false;
    this.#run = { alive: true };
    this.#switching = false;
    this.journal.crash();
    this.isolates.crash();
    await this.start(version);
  }

  /** Takes steps until the promise is fulfilled. */
  async #drive(end: Promise<unknown> | undefined, step: (round: number) => void | Promise<void>): Promise<void> {
    const fulfilled = new AbortController();
    void end?.then(() => fulfilled.abort());
    for (let round = 0; !fulfilled.signal.aborted; round++) {
      if (round > 100) throw new Error("it does not start or stop");
      await step(round);
      await this.rest();
    }
  }

  #make(version: Version, run: Run): DeployedFunction {
    const { idempotent, overflow, stateBytes, pendingMax, proven } = this.#setting;
    const { bundle, target } = functionOf({
      version: ++this.#number,
      triggers: version.filters,
      ...(version.key === undefined ? {} : { key: version.key }),
      order: version.order,
      concurrency: version.lanes,
      warm: version.warm,
      idleMs: version.idleMs,
      overflow,
      idempotency: idempotent ? { key: "data.id", windowMs: 1e12, entries: 100_000 } : undefined,
      limits: { cpuMs: 10_000, stateBytes },
      retry: { attempts: 3, minMs: 10, maxMs: 40, maxAgeMs: 1e9 },
      handler: "",
    });
    const parts: FunctionParts<DeployedFunction> = {
      gateway: "g",
      clock,
      hosts: {
        hasRoom: () => true,
        retire: () => undefined,
        load: (...what) => (run.alive ? this.isolates.load(...what) : new Promise(() => undefined)),
      },
      journal: this.journal.open(() => run.alive),
      unwritten: new Unwritten(() => undefined),
      logs: new LogRing(10),
      outside: new Outside(),
      sourceMaps: new SourceMaps(),
      logger: silentLogger,
      drops: new Drops(),
      pendingMax,
      memory: new PendingBytes(2 ** 20),
      behindMs: 0.001,
      head: () => this.journal.messages.length + 1,
      next: async (_owner, from) => from,
      held: () => this.held || !run.alive,
      outboxPressure: () => 0,
      route: (owner, topic) => (run.alive ? this.#routeTo(owner, topic) : undefined),
      wakes: (topic) => (topic.startsWith("loop") ? "durable" : "none"),
      listensToEvents: () => false,
      answer: () => undefined,
      isProven: () => proven,
      proved: () => undefined,
      changed: () => undefined,
    };
    return new DeployedFunction(target, bundle, parts);
  }

  #routeTo(owner: DeployedFunction, topic: string): Route<DeployedFunction> | undefined {
    return this.#function === owner ? this.#table.match(topic)[0] : undefined;
  }

  #keyOf(topic: string): string | undefined {
    return this.#table.match(topic)[0]?.key;
  }

  async #handle({ seq, key }: Call, ctx: CallContext): Promise<Attempt> {
    const attempt = this.#attempts.get(seq)?.shift() ?? "done";
    if (this.#setting.stateful) {
      const count = await ctx.state.get("n");
      ctx.state.set("n", (typeof count === "number" ? count : 0) + 1);
    }
    ctx.emit("done", seq, { subject: key });
    return attempt;
  }

  arrive({ topic, id, attempts, volatile }: Arrival): void {
    const [seq, time] = [this.journal.messages.length + 1, Date.now()];
    // One that has come that far may not bring others, so what it publishes is refused.
    const hops = attempts.includes("is refused") ? 16 : 0;
    const payload = Buffer.from(JSON.stringify(id === undefined ? {} : { id }));
    const record = encodeMessage({ topic, payload, qos: 1, retain: false, time, source: "c", hops });
    const message: JournaledMessage = { seq, topic, time, hops, record, ...(volatile ? { volatile: true as const } : {}) };
    this.journal.messages.push(message);
    this.#attempts.set(seq, [...attempts]);
    this.#ids.set(seq, id);
    const [route] = this.#table.match(topic);
    if (route === undefined) return;
    if (!volatile) this.#wanted.add(seq);
    this.#function?.offerLive(message, route);
  }

  pump(): void {
    this.#function?.pump();
  }

  writeCursor(): void {
    this.#function?.writeCursor();
  }

  letters(full: boolean): void {
    this.journal.deadLettersFull = full;
    if (!full) this.#function?.lettersFree();
  }

  /** The journal is full, and messages below a place are dropped; or it is not any more. */
  shed(below: number | undefined): void {
    if (this.#setting.overflow !== "drop-oldest") return;
    const floor = Math.min(below ?? 0, this.journal.messages.length);
    this.#pressure = below === undefined ? { over: false } : { over: true, floor };
    this.#shedBelow = Math.max(this.#shedBelow, floor);
    void this.#function?.shed(this.#pressure);
  }

  flush(count: number): void {
    this.journal.flush(count, (write) => this.#check(write));
  }

  /** Lets everything go on that only waits for promises. */
  async rest(): Promise<void> {
    for (let turn = 0; turn < 40; turn++) await Promise.resolve();
    if (this.#wrong.length > 0) throw new Error(this.#wrong.join("; "));
  }

  #check({ events, deadLetters, state }: Pick<FunctionCommit, "events" | "deadLetters" | "state">): void {
    const done = events.map(({ id }) => Number(id.split(":")[1]));
    const dead = deadLetters.map(({ seq }) => seq);
    for (const seq of done) this.#settle(seq, "done");
    for (const seq of dead) this.#settle(seq, "dead");
    for (const seq of [...done, ...dead]) this.#checkOrder(seq);
    const last = new Map<string | undefined, number>();
    for (const seq of this.#version.order === "strict" ? done : []) {
      const key = this.#keyOf(this.#topicOf(seq));
      if ((last.get(key) ?? 0) > seq) this.#wrong.push(`${seq} comes after ${last.get(key)} in one commit`);
      last.set(key, seq);
    }
    const counts = new Map<string, number>();
    for (const { key, name, value } of state) {
      const before = counts.get(key) ?? Number(this.journal.state.get(key)?.get(name) ?? 0);
      if (Number(value) !== before + 1) this.#wrong.push(`the count of ${key} goes from ${before} to ${String(value)}`);
      counts.set(key, Number(value));
    }
  }

  #settle(seq: number, how: "done" | "dead"): void {
    const before = this.#settled.get(seq);
    if (before !== undefined) this.#wrong.push(`${seq} is ${before} and then ${how}`);
    if (how === "done" && this.#isDuplicate(seq)) this.#wrong.push(`${seq} is handled although its idempotency key was`);
    this.#settled.set(seq, how);
  }

  #checkOrder(seq: number): void {
    if (this.#version.order !== "strict") return;
    const key = this.#keyOf(this.#topicOf(seq));
    const open = this.#open().find((other) => other < seq && this.#keyOf(this.#topicOf(other)) === key);
    if (open !== undefined) this.#wrong.push(`${seq} overtakes ${open}`);
  }

  #topicOf(seq: number): string {
    return this.journal.messages[seq - 1]?.topic ?? "";
  }

  #isDuplicate(seq: number): boolean {
    const id = this.#setting.idempotent ? this.#ids.get(seq) : undefined;
    if (id === undefined) return false;
    return [...this.#settled].some(([other, how]) => other !== seq && how === "done" && this.#ids.get(other) === id);
  }

  /** Messages of which something has to become yet. */
  #open(): number[] {
    return [...this.#wanted].filter((seq) => seq >= this.#shedBelow && !this.#settled.has(seq) && !this.#isDuplicate(seq));
  }

  /** Lets everything come to its end; `pass` lets time go by. @throws Error when something never does */
  async finish(pass: (ms: number) => void): Promise<void> {
    this.held = false;
    this.letters(false);
    this.pump();
    for (let round = 0; round < 3_000; round++) {
      await this.rest();
      if (this.#open().length === 0 && this.#function?.backlog === 0 && !this.#switching) return this.#stop();
      await this.#goOn(round);
      if (round % 3 === 0) pass(round < 300 ? 20 : 1_000);
      if (round % 100 === 99) await realTurn();
    }
    throw new Error(`${this.#open().join(" ")} are never settled, backlog ${this.#function?.backlog}, switching ${this.#switching}`);
  }

  async #goOn(round: number): Promise<void> {
    for (let pick = 0; pick < Math.max(1, this.isolates.size); pick++) {
      await this.isolates.handle(pick, () => this.rest());
      this.isolates.answer(pick);
    }
    this.isolates.made(true);
    this.journal.read(round, true);
    this.journal.look(round, true);
    this.flush(Infinity);
  }

  /** @throws Error when isolates are left behind */
  async #stop(): Promise<void> {
    await this.#drive(this.#function?.stop(), (round) => this.#goOn(round));
    for (let load = 0; load < 20; load++) {
      this.isolates.made(true);
      await this.rest();
    }
    if (this.isolates.size > 0) throw new Error(`isolates left: ${this.isolates.size}`);
  }
}

function tableOf(owner: DeployedFunction): RouteTable<DeployedFunction> {
  return new RouteTable(owner.filters.map((filter, index) => ({ owner, index, filter, key: owner.manifest.key, durable: true })));
}
