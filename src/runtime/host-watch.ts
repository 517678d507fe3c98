import type { Fault } from "./host/frames.ts";
import { mainThreadMs, residentBytes } from "./proc.ts";

const INTERVAL_MS = 20;
/** Making an isolate has time limits of its own; a host that does not answer by then is stuck in native code. */
export const LOAD_MS_MAX = 10_000;
/** What a host may need beyond the limits of a batch to stop it and to say so. */
const GRACE_MS = 1_000;
/** The same until it is asked whether it still reacts. */
const ASK_GRACE_MS = 40;
/** A host that reacts answers within this time. Only what its main thread computes counts: a host may have to wait for a processor. */
const PONG_MS = 80;
/** Where nobody tells what a process computes. */
const PONG_WALL_MS = 1_000;

/** An instance as far as the watch is concerned. */
export interface UnderWatch {
  /** When the load, then the batches under way have to be answered, in their order. */
  readonly deadlines: number[];
  /** How long it may compute without a pause. */
  patienceMs: number;
}

interface HostWatchOptions {
  readonly memoryMax: number;
  /** Asks the host for a sign of life; `heard` follows if it is able to give one. */
  ping(): void;
  kill(fault: Fault): void;
  /** What the host takes of memory. */
  seen(bytes: number): void;
}

/**
 * Looks after a host process from outside for as long as something is under way in it. Limits inside a process are not enough: V8 cannot be
 * interrupted in some of its builtins, and counts only some of the memory that it takes.
 */
export class HostWatch {
  pid = 0;
  readonly #instances: ReadonlyMap<number, UnderWatch>;
  readonly #options: HostWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  /** When the host last gave a sign of life, or began to have something under way. */
  #heardAt = 0;
  #asked: { readonly at: number; readonly computedMs: number | undefined; answered: boolean } | undefined;

  constructor(instances: ReadonlyMap<number, UnderWatch>, options: HostWatchOptions) {
    this.#instances = instances;
    this.#options = options;
  }

  /** How long a host may take to answer a batch; one that was held up gets twice its time. */
  static answerMs(limits: { readonly timeoutMs: number; readonly wallMs: number }): number {
    return 2 * limits.wallMs + limits.timeoutMs + GRACE_MS;
  }

  /** Something is about to be under way. */
  begin(): void {
    if (this.#timer !== undefined) return;
    this.#heardAt = performance.now();
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS).unref();
  }

  heard(): void {
    this.#heardAt = performance.now();
    if (this.#asked !== undefined) this.#asked.answered = true;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = performance.now();
    let patienceMs = Infinity;
    let deadline = Infinity;
    for (const { deadlines, patienceMs: its } of this.#instances.values()) {
      if (deadlines[0] === undefined) continue;
      patienceMs = Math.min(patienceMs, its);
      deadline = Math.min(deadline, deadlines[0]);
    }
    if (patienceMs === Infinity) return this.stop();
    const bytes = residentBytes(this.pid) ?? 0;
    this.#options.seen(bytes);
    if (bytes > this.#options.memoryMax) this.#tooLarge(bytes);
    else if (now > deadline || now > this.#heardAt + patienceMs + ASK_GRACE_MS) this.#ask(now, { patienceMs, overdue: now > deadline });
    else this.#asked = undefined;
  }

  #tooLarge(bytes: number): void {
    this.#options.kill(tooLarge(this.#options.memoryMax, `took ${megabytes(bytes)} of memory`));
  }

  /** A host that reacts and whose time is over has had a processor and does not come to an end; one that does not react may be waiting for one. */
  #ask(now: number, { patienceMs, overdue }: { patienceMs: number; overdue: boolean }): void {
    if (this.#asked === undefined) {
      this.#asked = { at: now, computedMs: mainThreadMs(this.pid), answered: false };
      this.#options.ping();
    } else if (this.#asked.answered) {
      if (overdue) this.#options.kill({ code: "LIMIT_WALL", message: "a batch was not answered in time" });
    } else if (this.#silentMs(now, this.#asked) >= PONG_MS) {
      const message = `computed for more than ${patienceMs} ms without a pause, and cannot be interrupted`;
      this.#options.kill({ code: "LIMIT_CPU", message });
    }
  }

  #silentMs(now: number, { at, computedMs }: { at: number; computedMs: number | undefined }): number {
    const computed = mainThreadMs(this.pid);
    if (computed !== undefined && computedMs !== undefined) return computed - computedMs;
    return now - at > PONG_WALL_MS ? PONG_MS : 0;
  }
}

/** What a host is ended for that needs more memory than it may have. */
export function tooLarge(memoryMax: number, what: string): Fault {
  const message = `the host process ${what}, at most ${megabytes(memoryMax)} are allowed (runtime.host_memory_max)`;
  return { code: "LIMIT_MEMORY", message };
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}
