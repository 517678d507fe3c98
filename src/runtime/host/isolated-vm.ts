import type ivm from "isolated-vm";
import { Alarm } from "./alarm.ts";
import { Asks, ASKS_MAX } from "./asks.ts";
import { type Blank, BlankMaker } from "./blank.ts";
import { BlankPool } from "./blank-pool.ts";
import { CodeCache } from "./code-cache.ts";
import type { Engine, Instance, InstanceInspector, InstanceWays, RunOutcome } from "./engine.ts";
import type { LoadSpec, StartTimes } from "./frames.ts";
import type { GuestHost, GuestOptions, GuestRuntime } from "./guest-types.ts";
import { InitFailed } from "./init-failed.ts";
import { loadErrorOf } from "./load-error.ts";
import { Lateness } from "./lateness.ts";
import { Pace } from "./pace.ts";
import { Computed, UnstoppedCalls } from "./unstopped-calls.ts";
import { WallLimit } from "./wall-limit.ts";

/** Top-level code of a function gets this long, once. */
const LOAD_TIMEOUT_MS = 2_000;
/** What was finished is taken out of an isolate that was stopped within this time, or is lost. */
const SALVAGE_TIMEOUT_MS = 200;
/**
 * An isolate that has neither answered nor been stopped by then is stuck in native code, and only the end of the process frees it. Later than
 * the salvage ends by itself: a guest that loops in there, because its code has replaced the clock, costs the host nothing but that time.
 */
const STUCK_MS = 2 * SALVAGE_TIMEOUT_MS;
const MEMORY_MB_MIN = 8;
/**
 * V8 ends an isolate for its memory when it collects garbage, and a message that asks for all of it at once is through before that. So the
 * engine looks too, after the first batch, after one that took this long, and after so many others. It costs 12 µs.
 */
const MEMORY_LOOK_MS = 2;
const MEMORY_LOOK_BATCHES = 64;
const COLLECT_TIMEOUT_MS = 1_000;

export interface IsolatedVmOptions {
  /** Called when an isolate cannot be stopped from inside the process. */
  readonly stuck: (reason: string) => void;
  /** Whether nobody waits for the process, so that isolates may be made ahead. */
  readonly quiet: () => boolean;
  /** Isolates that a debugger can look into, in the place of others. */
  readonly inspectable?: InspectableBlanks;
}

type Blanks = Pick<BlankPool, "take" | "size" | typeof Symbol.dispose>;

interface InspectableBlanks extends Blanks {
  inspect(blank: Blank, said: (session: number, text: Uint8Array) => void): InstanceInspector;
}

/** What every instance needs of its engine. */
interface Parts {
  readonly pool: Blanks;
  readonly inspectable: InspectableBlanks | undefined;
  readonly codes: CodeCache;
  readonly calls: UnstoppedCalls;
  readonly lateness: Lateness;
}

/** Isolates of V8. */
export class IsolatedVmEngine implements Engine, Disposable {
  readonly #parts: Parts;

  constructor({ stuck, quiet, inspectable }: IsolatedVmOptions) {
    this.#parts = {
      inspectable,
      pool: inspectable ?? new BlankPool({ maker: new BlankMaker(stuck), quiet }),
      codes: new CodeCache(),
      calls: new UnstoppedCalls(),
      lateness: new Lateness(),
    };
  }

  /** How many isolates are ready for functions to come. */
  get ready(): number {
    return this.#parts.pool.size;
  }

  create(spec: LoadSpec, ways: InstanceWays): Promise<Instance> {
    return IsolatedVmInstance.create(spec, ways, this.#parts);
  }

  [Symbol.dispose](): void {
    this.#parts.calls[Symbol.dispose]();
    this.#parts.lateness[Symbol.dispose]();
    this.#parts.pool[Symbol.dispose]();
  }
}

/** A call of a member of the guest, see guest-port.ts. */
type GuestCall = readonly [name: keyof GuestRuntime, ...values: (string | number)[]];

type Limits = Parameters<Instance["run"]>[1];

/** An isolate that has become a function's. */
interface Made {
  readonly alarm: Alarm;
  readonly asks: Asks;
  readonly wall: WallLimit;
  readonly guest: ivm.Reference;
  readonly collect: ivm.Reference;
  readonly memoryMb: number;
  readonly calls: UnstoppedCalls;
  readonly stuck: InstanceWays["stuck"];
  /** With it no call into the isolate may take place on the host's thread: the isolate may be held, and the thread is needed to let it go on. */
  readonly inspector: InstanceInspector | undefined;
}

class IsolatedVmInstance implements Instance {
  started: StartTimes = { isolateMs: 0, compileMs: 0, initMs: 0, pooled: false, cached: false };
  said = "";
  readonly #made: Made;
  readonly #isolate: ivm.Isolate;
  readonly #guest: ivm.Reference;
  readonly #pace = new Pace();
  /** Why the handler was stopped while it went on after a wait, and what it had computed since then. */
  #broken: { readonly reason: unknown; readonly computedMs: number } | undefined;
  /** Tells the batch that waits. */
  #breaks: ((reason: unknown) => void) | undefined;
  #timeoutMs = 0;
  #unlooked = MEMORY_LOOK_BATCHES - 1;

  private constructor(isolate: ivm.Isolate, made: Made) {
    this.#isolate = isolate;
    this.#made = made;
    this.#guest = made.guest;
    made.alarm.ring = (elapsedMs) => this.#wake(elapsedMs);
  }

  static async create(spec: LoadSpec, ways: InstanceWays, parts: Parts): Promise<IsolatedVmInstance> {
    const startedAt = performance.now();
    const memoryMb = Math.max(MEMORY_MB_MIN, Math.ceil(spec.memoryBytes / 2 ** 20));
    const taken = parts.pool.take(memoryMb);
    const blank = await taken.blank;
    const { isolate, context, collect } = blank;
    const asks = new Asks();
    const alarm = new Alarm();
    const wall = WallLimit.of(isolate, parts.lateness);
    const inspector = parts.inspectable?.inspect(blank, (session, text) => ways.inspected?.(session, text));
    try {
      const isolateMs = performance.now() - startedAt;
      const filename = `${spec.name}.js`;
      const compiled = await parts.codes.compile(isolate, spec.code, filename);
      const compileMs = performance.now() - startedAt - isolateMs;
      blank.port.host = counted(ways, { asks, alarm, wall });
      // All at once, which spares changes of thread: what an isolate is asked for it does in order.
      const running =
        compiled?.script.run(context, { timeout: LOAD_TIMEOUT_MS }) ?? context.eval(spec.code, { filename, timeout: LOAD_TIMEOUT_MS });
      const loading = Promise.all([running, specialise(blank.create, spec)]);
      const [, opened] = await parts.calls.watch(loading, isolate, { timeoutMs: LOAD_TIMEOUT_MS, stuck: ways.stuck });
      const guest = opened.getSync("gate", { reference: true });
      const hasInit = opened.getSync("hasInit") === true;
      for (const done of [compiled?.script, blank.create, context, opened]) done?.release();
      const made = { alarm, asks, wall, guest, collect, memoryMb, calls: parts.calls, stuck: ways.stuck, inspector };
      const instance = new IsolatedVmInstance(isolate, made);
      ways.made?.(instance);
      if (hasInit) await instance.#init(spec.initMs);
      const initMs = performance.now() - startedAt - isolateMs - compileMs;
      instance.started = { isolateMs, compileMs, initMs, pooled: taken.pooled, cached: compiled?.cached === true };
      return instance;
    } catch (error) {
      alarm.stop();
      if (!isolate.isDisposed) {
        inspector?.dispose();
        isolate.dispose();
      }
      if (error instanceof InitFailed) throw error;
      throw new Error(loadErrorOf(error, { timeoutMs: LOAD_TIMEOUT_MS, memoryMb }), { cause: error });
    }
  }

  get inspector(): InstanceInspector | undefined {
    return this.#made.inspector;
  }

  async #init(initMs: number): Promise<void> {
    const outcome = await this.#run(["init"], { timeoutMs: initMs, wallMs: initMs });
    if (!outcome.done) throw InitFailed.cut(outcome.fault);
    const failed = InitFailed.of(outcome.results);
    if (failed !== undefined) throw failed;
    this.said = outcome.results;
  }

  run(batch: string, limits: Limits): Promise<RunOutcome> {
    return this.#run(["start", batch], limits);
  }

  #ask(call: GuestCall, timeout: number): Promise<unknown> {
    return this.#guest.apply(undefined, [...call], { timeout });
  }

  #askNow(call: GuestCall, timeout: number): unknown {
    return this.#guest.applySync(undefined, [...call], { timeout });
  }

  async #run(call: GuestCall, limits: Limits): Promise<RunOutcome> {
    const startedAt = performance.now();
    const computed = new Computed(this.#isolate);
    try {
      const timeout = limits.timeoutMs;
      this.#timeoutMs = timeout;
      this.#made.asks.begin();
      this.#made.wall.begin();
      this.#made.alarm.hold();
      const mayBeHeld = this.inspector !== undefined;
      if (this.#pace.quick && !mayBeHeld) this.#askNow(call, timeout);
      else await this.#watched(this.#ask(call, timeout));
      const tookMs = performance.now() - startedAt;
      this.#pace.took(tookMs);
      const results = mayBeHeld ? await this.#ask(["take"], SALVAGE_TIMEOUT_MS) : this.#askNow(["take"], SALVAGE_TIMEOUT_MS);
      this.#made.alarm.release();
      const finished = typeof results === "string" ? results : await this.#finish(limits);
      const outcome: RunOutcome = typeof finished === "string" ? { done: true, results: finished, computedMs: computed.ms } : finished;
      if (this.#hasAskedTooOften) return this.#refuse();
      if (!outcome.done || (tookMs < MEMORY_LOOK_MS && ++this.#unlooked < MEMORY_LOOK_BATCHES)) return outcome;
      return { ...outcome, heapBytes: await this.#lookAtMemory() };
    } catch (error) {
      this.#pace.took(performance.now() - startedAt);
      const message = error instanceof Error ? error.message : String(error);
      const computedMs = (this.#broken?.reason === error ? this.#broken?.computedMs : undefined) ?? computed.ms;
      const heldMs = Math.max(0, performance.now() - startedAt - computed.ms);
      if (this.#hasAskedTooOften) return this.#refuse();
      if (this.#isolate.isDisposed) return this.#cut("LIMIT_MEMORY", `needed more than limits.memory, ${this.#made.memoryMb} MB`);
      const timedOut = /execution timed out/i.test(message);
      // The library goes by the clock on the wall, and on a busy machine that is not what the code has had.
      const { cpuMs = limits.timeoutMs / 2 } = limits;
      if (timedOut && computedMs < cpuMs) {
        return this.#cut("HOST_STARVED", `had no processor for most of ${limits.timeoutMs} ms`);
      }
      if (timedOut) return this.#cut("LIMIT_CPU", `computed for more than ${2 * cpuMs} ms without a pause`, heldMs);
      return this.#cut("FUNCTION_THREW", message);
    }
  }

  /** Whatever it says that it has finished: it has not had the state that it asked for. */
  #refuse(): RunOutcome {
    this.dispose();
    const fault = {
      code: "LIMIT_CALLS",
      message: `asked for state, timers or the gateway more than ${ASKS_MAX} times at once in one batch`,
    };
    return { done: false, fault, finished: 0, elapsedMs: 0, results: "" };
  }

  get #hasAskedTooOften(): boolean {
    return this.#made.asks.areTooMany;
  }

  #watched<T>(running: Promise<T>, timeoutMs = this.#timeoutMs): Promise<T> {
    const { calls, stuck } = this.#made;
    return calls.watch(running, this.#isolate, { timeoutMs, stuck });
  }

  /** @throws Error when the isolate is ended, because what is left without garbage is too much */
  async #lookAtMemory(): Promise<number> {
    this.#unlooked = 0;
    const looking = this.inspector === undefined ? this.#isolate.getHeapStatisticsSync() : await this.#isolate.getHeapStatistics();
    const { used_heap_size: used, externally_allocated_size: external } = looking;
    const bytesMax = this.#made.memoryMb * 2 ** 20;
    if (used + external <= bytesMax) return used + external;
    await this.#watched(this.#made.collect.apply(undefined, [2 * bytesMax], { timeout: COLLECT_TIMEOUT_MS }), COLLECT_TIMEOUT_MS);
    return used + external;
  }

  /** The batch waits for something; so does this, within the wall limit. */
  async #finish(limits: Limits): Promise<string | RunOutcome> {
    if (this.#broken !== undefined) throw this.#broken.reason;
    const first = Promise.withResolvers<unknown>();
    const { wall } = this.#made;
    let end: "limit" | "starved" | undefined;
    wall.start(limits.wallMs, (how) => first.resolve(void (end = how)));
    this.#breaks = first.reject;
    let heldMs = 0;
    try {
      const finishing = { timeout: limits.timeoutMs, result: { promise: true } } as const;
      const running: Promise<unknown> = this.#guest.apply(undefined, ["finish"], finishing);
      running.then(first.resolve, first.reject); // When something else comes first, it ends with the isolate.
      const results = await first.promise;
      if (end === undefined) return textOf(results);
    } finally {
      heldMs = wall.stop();
      this.#breaks = undefined;
    }
    if (end === "limit") return this.#cut("LIMIT_WALL", `not finished after ${limits.wallMs} ms`, heldMs);
    return this.#cut("HOST_STARVED", `had neither a processor nor what it waited for through most of ${2 * limits.wallMs} ms`, heldMs);
  }

  /** Takes what was finished out of an isolate that was stopped, then drops it. For `heldMs` others had held it up. */
  async #cut(code: string, message: string, heldMs = 0): Promise<RunOutcome> {
    let text = "\0\0\0\0\0\0";
    if (!this.#isolate.isDisposed) {
      const computed = new Computed(this.#isolate);
      // What has no processor is late, too, and what is stuck has one.
      const late = setInterval(() => {
        const fault = code === "HOST_STARVED" ? "LIMIT_CPU" : code;
        if (computed.ms >= STUCK_MS / 2) this.#made.stuck({ code: fault, message: `${message}, and does not stop` });
      }, STUCK_MS);
      try {
        text = textOf(await this.#ask(["salvage"], SALVAGE_TIMEOUT_MS));
      } catch {
        // Nothing could be saved: everything in the batch is handled again.
      } finally {
        clearInterval(late);
      }
    }
    this.dispose();
    const head = Buffer.from(text.slice(0, 6), "latin1");
    return {
      done: false,
      fault: { code, message },
      finished: head.readUInt16BE(0),
      elapsedMs: Math.max(0, head.readUInt32BE(2) - Math.ceil(heldMs)),
      results: text.slice(6),
    };
  }

  stateLoaded(request: number, entries: string): void {
    if (this.#isolate.isDisposed) return;
    this.#made.wall.answered(request);
    this.#goOn(["stateLoaded", request, entries]);
  }

  answered(request: number, head: string, body: string): void {
    if (this.#isolate.isDisposed || !this.#made.asks.answered(request)) return;
    this.#goOn(["answered", request, head, body]);
  }

  #wake(elapsedMs: number): void {
    if (this.#isolate.isDisposed) return;
    this.#made.asks.woken();
    this.#goOn(["wake", elapsedMs]);
  }

  /** The handler goes on inside this call, so its limit applies here too. */
  #goOn(call: GuestCall): void {
    const computed = new Computed(this.#isolate);
    this.#watched(this.#made.wall.during(this.#ask(call, this.#timeoutMs))).catch((reason: unknown) => {
      this.#broken ??= { reason, computedMs: computed.ms };
      this.#breaks?.(reason);
    });
  }

  dispose(): void {
    this.#made.alarm.stop();
    if (this.#isolate.isDisposed) return;
    this.inspector?.dispose();
    this.#isolate.dispose();
  }
}

/** Lets only so many calls through. The guest asks for a key once, but its code may have broken that. */
function counted(ways: InstanceWays, { asks, alarm, wall }: Pick<Made, "asks" | "alarm" | "wall">): GuestHost {
  return {
    wakeIn: (ms) => {
      if (asks.take(0)) alarm.set(ms);
    },
    loadState: (request, keys) => {
      if (!asks.state(keys)) return;
      wall.asked(request);
      ways.loadState(request, keys);
    },
    call: (request, what, head, body) => {
      if (asks.call(request, { headChars: head.length, bodyChars: body.length })) ways.call(request, what, head, body);
    },
    callOff: (request) => {
      if (asks.callOff(request)) ways.callOff(request);
    },
  };
}

/** Makes the guest of a function whose code has run. The properties of the answer are its own, so that reading them runs nothing. */
function specialise(create: ivm.Reference, spec: LoadSpec): Promise<ivm.Reference> {
  const { code: _code, memoryBytes: _memory, ...rest } = spec;
  const options: GuestOptions = rest;
  return create.apply(undefined, [JSON.stringify(options)], { result: { reference: true }, timeout: LOAD_TIMEOUT_MS });
}

/** Guest code may have put anything in the place of the guest runtime's functions; the gateway finds an empty answer wanting. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
