import type ivm from "isolated-vm";
import type { Lateness } from "./lateness.ts";

/** A batch that waits for something. */
interface Wait {
  readonly startedAt: number;
  readonly wallMs: number;
  readonly over: (end: WallEnd) => void;
  /** As it was when it was looked at last: the time, what the isolate had computed, and how late its host had been. */
  seen: Seen;
  /** For so long of its time it could not go on, whatever its code does. */
  heldMs: number;
}

interface Seen {
  readonly at: number;
  readonly cpuMs: number;
  readonly lateMs: number;
}

type WallEnd = "limit" | "starved";

interface WallParts {
  /** What the isolate has computed since it was made. */
  readonly cpuMs: () => number;
  readonly lateness: Lateness;
}

/**
 * The time that a batch may take, waiting included. What does not count is for how long others hold it up: a call into the isolate is on its way and has no
 * processor, the gateway has not answered what is kept, or the thread is late through which everything comes that it waits for. A batch that is held
 * up until twice its time is over is starved.
 */
export class WallLimit {
  readonly #parts: WallParts;
  /** Questions about state without an answer. */
  readonly #asked = new Set<number>();
  /** Under way into the isolate. */
  #calls = 0;
  #wait: Wait | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: WallParts) {
    this.#parts = parts;
  }

  /** Of the isolate. */
  static of(isolate: Pick<ivm.Isolate, "cpuTime" | "isDisposed">, lateness: Lateness): WallLimit {
    return new WallLimit({ lateness, cpuMs: () => (isolate.isDisposed ? 0 : Number(isolate.cpuTime) / 1e6) });
  }

  /** Another batch begins. */
  begin(): void {
    this.#asked.clear();
  }

  asked(request: number): void {
    this.#look();
    this.#asked.add(request);
  }

  answered(request: number): void {
    this.#look();
    this.#asked.delete(request);
  }

  /** For a call into the isolate. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#look();
    this.#calls++;
    try {
      return await call;
    } finally {
      this.#look();
      this.#calls--;
    }
  }

  /** The batch waits from now on, until `stop`; `over` is called at most once. */
  start(wallMs: number, over: (end: WallEnd) => void): void {
    this.#parts.lateness.join();
    this.#wait = { startedAt: performance.now(), wallMs, over, seen: this.#see(), heldMs: 0 };
    this.#watch(this.#wait);
  }

  /** Answers with for how many milliseconds it was held up. */
  stop(): number {
    this.#look();
    clearTimeout(this.#timer);
    this.#parts.lateness.leave();
    const heldMs = this.#wait?.heldMs ?? 0;
    this.#wait = undefined;
    return heldMs;
  }

  #see(): Seen {
    const { cpuMs, lateness } = this.#parts;
    return { at: performance.now(), cpuMs: cpuMs(), lateMs: lateness.ms };
  }

  #look(): void {
    const wait = this.#wait;
    if (wait === undefined) return;
    const now = this.#see();
    const { at, cpuMs, lateMs } = wait.seen;
    const isHeld = this.#calls > 0 || this.#asked.size > 0;
    wait.heldMs += isHeld ? Math.max(0, now.at - at - Math.max(0, now.cpuMs - cpuMs)) : now.lateMs - lateMs;
    wait.seen = now;
  }

  #watch(wait: Wait): void {
    this.#look();
    const passedMs = wait.seen.at - wait.startedAt;
    const leftMs = wait.wallMs - (passedMs - wait.heldMs);
    if (leftMs < 1) return wait.over("limit");
    const mostMs = 2 * wait.wallMs - passedMs;
    if (mostMs < 1) return wait.over("starved");
    this.#timer = setTimeout(() => this.#watch(wait), Math.max(1, Math.min(leftMs, mostMs)));
  }
}
