import { runInNewContext } from "node:vm";
import { vi } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { silentLogger } from "../../../src/core/log.ts";
import type { Manifest } from "../../../src/core/manifest.ts";
import { encodeMessage, type JournaledMessage } from "../../../src/core/message.ts";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";
import { Feed } from "../../../src/runtime/feed.ts";
import { guestScript } from "../../../src/runtime/host/guest-script.ts";
import type { createGuest as CreateGuest } from "../../../src/runtime/host/guest.ts";
import type { GuestOptions, GuestRuntime } from "../../../src/runtime/host/guest-types.ts";
import type { InstanceEvents, InstanceHandle, Loss } from "../../../src/runtime/guarded-host.ts";
import { Idempotency, type MarkWrite, type Verdict } from "../../../src/runtime/idempotency.ts";
import type { Item } from "../../../src/runtime/item.ts";
import type { LaneOwner, Outcome, Refusal } from "../../../src/runtime/lane-owner.ts";
import { Lane } from "../../../src/runtime/lane.ts";
import type { Route } from "../../../src/runtime/route.ts";
import type { Trial } from "../../../src/runtime/trial.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";

/** What a handler does with a message at one of its attempts. One that is refused was handled, and the gateway does not take what came of it. */
export type Attempt = "done" | "throws" | "throws for good" | "hangs" | "starves" | "is refused";

export interface Arrival {
  readonly key: number;
  /** The idempotency key. */
  readonly id: number | undefined;
  /** Those after the last one are "done". */
  readonly attempts: readonly Attempt[];
}

/** The modules of a guest, compiled as in an isolate, in a realm of their own. */
const createGuest = runInNewContext(`${guestScript()}\ncreateGuest`) as typeof CreateGuest;

/** Of each message in a batch. */
const PARTS = 3;

interface FakeIsolate {
  readonly guest: GuestRuntime;
  readonly events: InstanceEvents;
  readonly inbox: { readonly batch: number; readonly items: number; readonly text: string }[];
  /** What is on its way back. */
  readonly outbox: (() => void)[];
}

/**
 * A lane, the guest in its isolate, and the feed of its function, all of them real; hosts do what a test says. Topics are keys. Whatever becomes
 * of a message is checked at once: it is settled once, and with strict order after everything before it that has its key.
 */
export class LaneWorld implements LaneOwner {
  readonly manifest: Manifest;
  readonly gateway = "g";
  readonly name = "f";
  readonly place = "here";
  readonly isAwaited = (): boolean => false;
  held = false;
  /** Isolates on trial. */
  trials = 0;
  readonly cannotRead = false;
  lettersFull = false;
  /** The isolate says of every message that it waits for an earlier one. */
  defersAll = false;
  readonly messages: JournaledMessage[] = [];
  readonly settled = new Map<number, "done" | "dead" | "duplicate" | "dropped">();
  readonly lane: Lane;
  /** How often it was asked what is to be done with a message. */
  asked = 0;
  readonly #attempts = new Map<number, Attempt[]>();
  readonly #idempotency: Idempotency | undefined;
  readonly #feed: Feed;
  readonly #marks: MarkWrite[] = [];
  #shedBelow = 0;
  /** What hangs at the moment has no processor. */
  #starves = false;
  /** Each in a host of its own, the oldest first; two while the lane moves. */
  readonly #isolates: FakeIsolate[] = [];

  constructor(plan: Omit<FunctionPlan, "handler">) {
    this.manifest = functionOf({ ...plan, handler: "" }).bundle.manifest;
    this.#idempotency = this.manifest.idempotency === undefined ? undefined : new Idempotency(this.manifest.idempotency);
    this.lane = new Lane(this, { isKept: () => this.manifest.warm > 0, wentOn: () => undefined });
    this.#feed = new Feed({
      name: "f",
      routing: "r",
      strict: this.manifest.order === "strict",
      pendingMax: 64,
      memory: new PendingBytes(2 ** 20),
      journal: { read: async (from, max) => this.messages.filter(({ seq }) => seq >= from).slice(0, max) },
      logger: silentLogger,
      head: () => this.messages.length + 1,
      next: async (from) => from,
      writeCursor: () => undefined,
      route: ({ topic }) => routeOf(topic),
      offer: (item) => this.lane.offer(item),
      pump: () => this.lane.pump(),
      drops: ({ seq }) => {
        if (seq < this.#shedBelow && !this.settled.has(seq)) this.settled.set(seq, "dropped");
        return seq < this.#shedBelow;
      },
      missed: () => undefined,
    });
  }

  /** Isolates that are there. */
  get isolates(): number {
    return this.#isolates.length;
  }

  async start(): Promise<void> {
    await this.lane.warm();
    this.#feed.start(new Cursor(1));
    await rest();
  }

  async arrive({ key, id, attempts }: Arrival): Promise<void> {
    const [seq, topic, time] = [this.messages.length + 1, `k${key}`, Date.now()];
    const payload = Buffer.from(JSON.stringify(id === undefined ? {} : { id }));
    const record = encodeMessage({ topic, payload, qos: 1, retain: false, time, source: "c", hops: 0 });
    const message = { seq, topic, time, hops: 0, record };
    this.messages.push(message);
    this.#attempts.set(seq, [...attempts]);
    this.#feed.live(message, routeOf(topic));
    this.lane.pump();
    await rest();
  }

  /** The isolate handles a batch; its answer is on its way then. */
  async handle(): Promise<void> {
    const isolate = this.#isolates.find(({ inbox }) => inbox.length > 0);
    const next = isolate?.inbox.shift();
    if (isolate === undefined || next === undefined) return;
    if (this.defersAll) {
      isolate.outbox.push(() => isolate.events.result(next.batch, Buffer.alloc(next.items, 3), 0.01));
      return;
    }
    isolate.guest.start(next.text);
    await rest();
    const results = isolate.guest.take();
    if (results === undefined) this.#cut(isolate, next.batch);
    else isolate.outbox.push(() => isolate.events.result(next.batch, Buffer.from(results, "latin1"), 0.01));
    await rest();
  }

  /** An answer reaches the gateway. */
  async answer(): Promise<void> {
    this.#isolates.find(({ outbox }) => outbox.length > 0)?.outbox.shift()?.();
    await rest();
  }

  /** The host dies, with everything that was on its way. */
  async die({ guilt, trial }: Pick<Loss, "guilt" | "trial">): Promise<void> {
    const isolate = this.#isolates.shift();
    isolate?.events.lost({ fault: { code: "HOST_CRASHED", message: "killed" }, guilt, trial });
    await rest();
  }

  /** The host needs the room. */
  async giveUp(): Promise<void> {
    for (const events of this.#isolates.map((isolate) => isolate.events)) events.giveUp?.(true);
    await rest();
  }

  async pass(ms: number): Promise<void> {
    vi.advanceTimersByTime(ms);
    await rest();
  }

  /** Drops what is not under way and below `seq`, as a full journal does. */
  async shed(below: number): Promise<void> {
    this.#shedBelow = Math.max(this.#shedBelow, below);
    for (const item of this.lane.purge(({ message }) => message.seq < this.#shedBelow)) {
      this.#finish(item, "dropped");
      this.#release(item);
    }
    this.#feed.refill();
    await rest();
  }

  /** Lets everything come to its end. False when something never does. */
  async finish(): Promise<boolean> {
    this.lettersFull = false;
    for (let round = 0; round < 2_000; round++) {
      if (this.settled.size === this.messages.length) return true;
      await this.handle();
      await this.answer();
      if (round % 4 === 3) await this.pass(50);
    }
    return false;
  }

  async load(events: InstanceEvents, trial: Trial): Promise<InstanceHandle> {
    if (trial !== "none") this.trials++;
    const handler = (event: { readonly seq: number }, ctx: Emitter): unknown => this.#attempt(event.seq, ctx);
    const options = { ...OPTIONS, strict: this.manifest.order === "strict" };
    const guest = createGuest({ default: { handler } }, options, {
      wakeIn: () => undefined,
      call: () => undefined,
      callOff: () => undefined,
      loadState: () => undefined,
    });
    const isolate: FakeIsolate = { guest, events, inbox: [], outbox: [] };
    this.#isolates.push(isolate);
    return {
      started: { isolateMs: 0, compileMs: 0, initMs: 0, pooled: false, cached: false },
      ask: () => Infinity,
      run: (batch, _limits, items) =>
        void isolate.inbox.push({ batch, items: items.length / PARTS, text: Buffer.concat(items).toString("latin1") }),
      stateLoaded: () => undefined,
      unload: () => {
        if (trial !== "none") this.trials--;
        this.#isolates.splice(0, Infinity, ...this.#isolates.filter((other) => other !== isolate));
      },
    };
  }

  readonly starts = { firstCall: (): void => undefined };

  measured(): void {
    // Nothing becomes of it here.
  }

  wasCut(): void {
    // Nothing becomes of it here.
  }

  killedHost(): void {
    // Nothing becomes of it here.
  }

  loadFailed(error: unknown): void {
    throw error;
  }
  loadState(): Promise<string> {
    return Promise.resolve("{}");
  }
  prepare(): undefined {
    return undefined;
  }

  get admits(): boolean {
    return this.#idempotency !== undefined;
  }

  admit(item: Item): Verdict {
    this.asked++;
    const verdict = this.#idempotency?.admit(item) ?? "handle";
    if (verdict === "duplicate") {
      this.#finish(item, "duplicate");
      this.#feed.refill();
    }
    return verdict;
  }

  setAside(item: Item): boolean {
    const taken = this.#feed.setAside(item);
    if (taken) this.#release(item);
    return taken;
  }

  goOn(key: string): void {
    this.#feed.goOn(key);
  }

  wasParted(): void {}

  settle(outcomes: readonly Outcome[]): Refusal | undefined {
    let refused: Refusal | undefined;
    for (const [index, { item, result, dead }] of outcomes.entries()) {
      if (!dead && result.status !== "done") continue;
      if (result.status === "done" && result.effects.events.length > 0) refused = { taken: index + 1, item };
      if (!dead && refused === undefined) this.#idempotency?.done(item, this.#marks);
      if (refused === undefined || item.giveUp !== "never") this.#finish(item, dead || refused !== undefined ? "dead" : "done");
      if (refused !== undefined) break;
    }
    for (const { item, result, dead } of outcomes) if (dead || result.status === "done") this.#release(item);
    this.#feed.refill();
    return refused;
  }

  #release(item: Item): void {
    const mark = this.#idempotency?.release(item);
    if (mark !== undefined) this.lane.resume(mark);
  }

  #finish(item: Item, how: "done" | "dead" | "duplicate" | "dropped"): void {
    const { seq } = item.message;
    const before = this.settled.get(seq);
    // With strict order a duplicate is left out at once, and once more when an earlier message of its key is set aside.
    const isLeftOut = how !== "done" && how !== "dead" && before === "duplicate" && this.manifest.order === "strict";
    if (before !== undefined && !isLeftOut) throw new Error(`${seq} is ${before} and then ${how}`);
    const older = this.messages.find((other) => other.seq < seq && other.topic === item.key && !this.settled.has(other.seq));
    if (older !== undefined && (how === "done" || how === "dead") && this.manifest.order === "strict") {
      throw new Error(`${seq} is ${how} before ${older.seq} of its key`);
    }
    this.settled.set(seq, how);
    if (how === "dropped") this.#feed.dropped(item);
    else this.#feed.settled(item);
  }

  #attempt(seq: number, ctx: Emitter): unknown {
    const attempt = this.#attempts.get(seq)?.shift() ?? "done";
    if (attempt === "throws") throw new Error("no");
    if (attempt === "throws for good") throw Object.assign(new Error("never"), { name: "PermanentError" });
    this.#starves = attempt === "starves";
    if (attempt === "hangs" || attempt === "starves") return new Promise(() => undefined);
    if (attempt === "is refused") ctx.emit("refused", {});
    return undefined;
  }

  #cut(isolate: FakeIsolate, batch: number): void {
    const salvage = Buffer.from(isolate.guest.salvage(), "latin1");
    const fault = { code: this.#starves ? "HOST_STARVED" : "LIMIT_WALL", message: "it takes too long" };
    const cut = { fault, finished: salvage.readUInt16BE(0), elapsedMs: this.manifest.limits.wallMs, results: salvage.subarray(6) };
    isolate.inbox.length = 0;
    isolate.outbox.push(() => isolate.events.cut(batch, cut));
  }
}

interface Emitter {
  emit(type: string, data: unknown): void;
}

const OPTIONS: Omit<GuestOptions, "strict"> = {
  name: "f",
  version: 1,
  gateway: "gw",
  env: {},
  triggers: [{ kind: "mqtt", names: [] }],
  publish: [],
  emit: ["*"],
  batch: false,
  wallMs: 1_000,
  outputBytes: 65_536,
  stateValueBytes: 65_536,
  fetchBytes: 65_536,
  secrets: [],
  shared: true,
  stateVersion: 1,
};

function routeOf(topic: string): Route<unknown> {
  return { owner: undefined, index: 0, key: topic, keyBytes: Buffer.from(topic), durable: true };
}

/** Lets everything go on that only waits for promises. */
async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
