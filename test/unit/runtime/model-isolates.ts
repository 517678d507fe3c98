import { runInNewContext } from "node:vm";
import type { InstanceEvents, InstanceHandle, Loss } from "../../../src/runtime/guarded-host.ts";
import type { LoadSpec } from "../../../src/runtime/host/frames.ts";
import { guestScript } from "../../../src/runtime/host/guest-script.ts";
import type { createGuest as CreateGuest } from "../../../src/runtime/host/guest.ts";
import type { GuestRuntime } from "../../../src/runtime/host/guest-types.ts";
import type { Place } from "../../../src/runtime/hosts.ts";

/** What a handler does with a message at one of its attempts. What publishes too many hops away is handled, and then refused by the gateway. */
export type Attempt = "done" | "throws" | "throws for good" | "hangs" | "is refused";

export interface Call {
  readonly seq: number;
  readonly key: string;
}

export interface CallContext {
  readonly state: { get(name: string): Promise<unknown>; set(name: string, value: unknown): void };
  emit(type: string, data: unknown, options: { readonly subject: string }): void;
  publish(topic: string, data: unknown): void;
}

type Handler = (call: Call, ctx: CallContext) => Promise<Attempt>;

interface Isolate {
  readonly guest: GuestRuntime;
  readonly events: InstanceEvents;
  readonly host: unknown;
  readonly inbox: { readonly batch: number; readonly text: string }[];
  /** What is on its way back. */
  readonly outbox: (() => void)[];
  /** Batches that were sent and of which nothing has come back. */
  unanswered: number;
  running: number | undefined;
  hangs: boolean;
}

interface Load {
  succeed(): void;
  fail(): void;
}

const FAULT = { code: "HOST_CRASHED", message: "killed" };
const SCRIPT = guestScript();
const FEW_KEYS = SCRIPT.replace("STATE_KEYS_MAX = 10_000", "STATE_KEYS_MAX = 2");
if (FEW_KEYS === SCRIPT) throw new Error("the number of keys that a guest keeps is not found in its script");

/** The modules of a guest, compiled as in an isolate, in a realm of their own; one that keeps the state of two keys only is the second. */
const guests = [SCRIPT, FEW_KEYS].map((script) => runInNewContext(`${script}\ncreateGuest`) as typeof CreateGuest);

/** The hosts of a gateway: the real code of the guest in isolates that do what a test says, when it says so. */
export class ModelIsolates {
  #isolates: Isolate[] = [];
  readonly #createGuest: typeof CreateGuest | undefined;
  readonly #handler: Handler;
  #loads: Load[] = [];

  constructor(fewKeys: boolean, handler: Handler) {
    this.#createGuest = guests[fewKeys ? 1 : 0];
    this.#handler = handler;
  }

  get size(): number {
    return this.#isolates.length;
  }

  async load(spec: LoadSpec, events: InstanceEvents, place: Place = { kind: "probation" }): Promise<InstanceHandle> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#loads.push({ succeed: resolve, fail: () => reject(new Error("it does not load")) });
    await promise;
    const isolate = this.#make(spec, events, place.kind === "own" ? place.owner : place.kind);
    this.#isolates.push(isolate);
    return {
      started: { isolateMs: 0, compileMs: 0, initMs: 0, pooled: false, cached: false },
      ask: () => Infinity,
      run: (batch, _limits, items) => {
        isolate.unanswered++;
        isolate.inbox.push({ batch, text: Buffer.concat(items).toString("latin1") });
      },
      stateLoaded: (request, entries) => {
        if (this.#isolates.includes(isolate)) isolate.guest.stateLoaded(request, entries);
      },
      unload: () => this.#remove(isolate),
    };
  }

  #make(spec: LoadSpec, events: InstanceEvents, host: unknown): Isolate {
    const handler = async (call: Call, ctx: CallContext): Promise<void> => {
      const attempt = await this.#handler(call, ctx);
      if (attempt === "throws") throw new Error("no");
      if (attempt === "throws for good") throw Object.assign(new Error("never"), { name: "PermanentError" });
      if (attempt === "is refused") ctx.publish("loop/x", "");
      if (attempt !== "hangs") return;
      isolate.hangs = true;
      await new Promise(() => undefined);
    };
    const loadState = (request: number, keys: string): void =>
      void isolate.outbox.push(() => events.stateGet(request, JSON.parse(keys) as string[]));
    const guest = this.#createGuest?.({ default: { handler } }, spec, {
      loadState,
      wakeIn: () => undefined,
      call: () => undefined,
      callOff: () => undefined,
    });
    if (guest === undefined) throw new Error("there are two kinds of guests");
    const isolate: Isolate = { guest, events, host, inbox: [], outbox: [], unanswered: 0, running: undefined, hangs: false };
    return isolate;
  }

  /** An isolate that was asked for is made, or fails to be. */
  made(succeeds: boolean): void {
    const load = this.#loads.shift();
    if (succeeds) load?.succeed();
    else load?.fail();
  }

  /** An isolate begins with the next batch, or goes on with what it has; what comes of it is on its way then. */
  async handle(pick: number, rest: () => Promise<void>): Promise<void> {
    const isolate = this.#isolates[pick % Math.max(1, this.#isolates.length)];
    if (isolate === undefined) return;
    const next = isolate.running === undefined ? isolate.inbox.shift() : undefined;
    if (next !== undefined) {
      isolate.running = next.batch;
      isolate.guest.start(next.text);
    }
    await rest();
    const { running } = isolate;
    if (running === undefined) return;
    const results = isolate.guest.take();
    if (results === undefined) return isolate.hangs ? this.#cut(isolate, running) : undefined;
    isolate.running = undefined;
    isolate.outbox.push(() => {
      isolate.unanswered--;
      isolate.events.result(running, Buffer.from(results, "latin1"), 0.01);
    });
  }

  /** A batch that waits for state is stopped because that takes too long. */
  wall(pick: number): void {
    const isolate = this.#isolates[pick % Math.max(1, this.#isolates.length)];
    if (isolate?.running !== undefined && isolate.guest.take() === undefined) this.#cut(isolate, isolate.running);
  }

  #cut(isolate: Isolate, batch: number): void {
    const salvage = Buffer.from(isolate.guest.salvage(), "latin1");
    const fault = { code: "LIMIT_WALL", message: "it takes too long" };
    const cut = { fault, finished: salvage.readUInt16BE(0), elapsedMs: 1_000_000, results: salvage.subarray(6) };
    isolate.inbox.length = 0;
    isolate.running = undefined;
    isolate.hangs = false;
    isolate.outbox.push(() => {
      this.#remove(isolate);
      isolate.events.cut(batch, cut);
    });
  }

  /** Something that an isolate has said reaches the gateway. */
  answer(pick: number): void {
    this.#isolates[pick % Math.max(1, this.#isolates.length)]?.outbox.shift()?.();
  }

  /** The host of an isolate dies, with everything that was on its way. */
  die(pick: number): void {
    const host = this.#isolates[pick % Math.max(1, this.#isolates.length)]?.host;
    const lost = this.#isolates.filter((isolate) => isolate.host === host);
    this.#isolates = this.#isolates.filter((isolate) => isolate.host !== host);
    const busy = lost.filter(({ unanswered }) => unanswered > 0).length;
    for (const { events, unanswered } of lost) {
      const guilt: Loss["guilt"] = unanswered === 0 ? "none" : busy === 1 ? "certain" : "possible";
      const trial = guilt === "none" ? "none" : guilt === "certain" || host === "suspects" || pick % 2 === 0 ? "alone" : "together";
      events.lost({ fault: FAULT, guilt, trial });
    }
  }

  /** Everything is gone, and nobody is told. */
  crash(): void {
    this.#isolates = [];
    this.#loads = [];
  }

  #remove(isolate: Isolate): void {
    this.#isolates = this.#isolates.filter((other) => other !== isolate);
  }
}
