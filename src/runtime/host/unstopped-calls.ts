import type ivm from "isolated-vm";
import type { Fault } from "./frames.ts";

const LOOK_INTERVAL_MS = 50;
/** How much later than it should code is stopped on a machine where the thread that does it has to wait for a processor. */
const GRACE_MS = 120;
/** An isolate that is ended takes a while to stop: its garbage is collected first. The process has computed for half of this at least. */
const ENDING_MS = 1_000;

/** A call into an isolate, off the host's thread. */
interface Call {
  readonly isolate: ivm.Isolate;
  /** What it may compute, in milliseconds. */
  readonly timeoutMs: number;
  readonly stuck: (fault: Fault) => void;
  readonly computed: Computed;
  readonly startedAt: number;
  /** When it was first seen that the isolate is ended, and what the process had computed then. */
  ended: { readonly at: number; readonly cpuMs: number } | undefined;
}

/**
 * Notices calls that go on after the engine has stopped them. V8 overlooks the end of an isolate in loops around JSON.stringify, and takes as
 * much memory as there is; and within some of its builtins nothing interrupts it. Looks only while there are calls.
 */
export class UnstoppedCalls implements Disposable {
  readonly #calls = new Set<Call>();
  #timer: NodeJS.Timeout | undefined;

  /** `stuck` is told when only the end of the process ends the call. */
  async watch<T>(running: Promise<T>, isolate: ivm.Isolate, { timeoutMs, stuck }: Pick<Call, "timeoutMs" | "stuck">): Promise<T> {
    const call: Call = { isolate, timeoutMs, stuck, computed: new Computed(isolate), startedAt: performance.now(), ended: undefined };
    this.#calls.add(call);
    this.#timer ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref();
    try {
      return await running;
    } finally {
      this.#calls.delete(call);
    }
  }

  #look(): void {
    if (this.#calls.size === 0) this[Symbol.dispose]();
    const now = performance.now();
    for (const call of this.#calls) {
      if (call.isolate.isDisposed) call.ended ??= { at: now, cpuMs: processMs() };
      if (call.ended !== undefined) {
        if (now < call.ended.at + ENDING_MS || processMs() < call.ended.cpuMs + ENDING_MS / 2) continue;
        this.#tell(call, { code: "LIMIT_MEMORY", message: "needed more than limits.memory, and cannot be stopped" });
      } else if (now > call.startedAt + call.timeoutMs + GRACE_MS && call.computed.ms > call.timeoutMs + GRACE_MS / 2) {
        const message = `computed for more than ${call.timeoutMs} ms without a pause, and cannot be interrupted`;
        this.#tell(call, { code: "LIMIT_CPU", message });
      }
    }
  }

  /** The call may have ended, and this thread had no time to hear of it. */
  #tell(call: Call, fault: Fault): void {
    setImmediate(() => {
      if (this.#calls.has(call)) call.stuck(fault);
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * For how long an isolate computes from now on. The library goes by the clock on the wall while the isolate has a thread, whether the thread has a
 * processor or not; on a busy machine that is many times as much. What the process has computed meanwhile cannot be less than what the isolate has.
 */
export class Computed {
  readonly #isolate: Pick<ivm.Isolate, "cpuTime" | "isDisposed">;
  readonly #isolateNs: bigint;
  readonly #processMs: number;

  constructor(isolate: Pick<ivm.Isolate, "cpuTime" | "isDisposed">) {
    this.#isolate = isolate;
    this.#isolateNs = isolate.isDisposed ? 0n : isolate.cpuTime;
    this.#processMs = processMs();
  }

  /** At most; 0 when the isolate is gone. */
  get ms(): number {
    if (this.#isolate.isDisposed) return 0;
    return Math.min(Number(this.#isolate.cpuTime - this.#isolateNs) / 1e6, processMs() - this.#processMs);
  }
}

function processMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
