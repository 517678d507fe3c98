import type ivm from "isolated-vm";

const LOOK_INTERVAL_MS = 100;

/** A call into an isolate, off the host's thread. */
interface Call {
  readonly isolate: ivm.Isolate;
  /** The isolate is not there any more, and goes on all the same. */
  readonly overlooked: () => void;
  /** Whether it had been ended when it was last looked at. */
  ended: boolean;
}

/**
 * Notices isolates that go on after the engine has ended them because of their memory: V8 overlooks it in loops around JSON.stringify, and takes
 * as much memory as there is. Looks only while there are calls.
 */
export class EndedIsolates implements Disposable {
  readonly #calls = new Set<Call>();
  #timer: NodeJS.Timeout | undefined;

  async watch<T>(running: Promise<T>, isolate: ivm.Isolate, overlooked: () => void): Promise<T> {
    const call = { isolate, overlooked, ended: false };
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
    for (const call of this.#calls) {
      // Not at the first sight: an isolate takes a moment to stop.
      if (call.ended) call.overlooked();
      call.ended = call.isolate.isDisposed;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
