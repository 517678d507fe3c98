import { DOMException } from "./dom-exception.ts";
import { Event, EventTarget } from "./event-target.ts";

/** Who may make a signal, and end it. */
const OWN = Symbol("own");

/** `AbortSignal` of the DOM standard. */
export class AbortSignal extends EventTarget {
  onabort: ((event: Event) => void) | null = null;
  #aborted = false;
  #reason: unknown;

  constructor(own: unknown) {
    super();
    if (own !== OWN) throw new TypeError("An AbortSignal comes from an AbortController");
  }

  get aborted(): boolean {
    return this.#aborted;
  }
  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  /** Of controllers and of the functions below. */
  [OWN](reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
    const event = new Event("abort");
    if (this.onabort !== null) this.addEventListener("abort", this.onabort, { once: true });
    this.dispatchEvent(event);
  }

  /** A signal that is aborted already. */
  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(OWN);
    signal[OWN](reason);
    return signal;
  }

  /** A signal that is aborted after so many milliseconds, if the message is still being handled then. */
  static timeout(ms: number): AbortSignal {
    const signal = new AbortSignal(OWN);
    setTimeout(() => signal[OWN](new DOMException("The operation was aborted due to timeout", "TimeoutError")), ms);
    return signal;
  }

  /** A signal that is aborted with the first of these. */
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const all = [...signals];
    const joint = new AbortSignal(OWN);
    const first = all.find(({ aborted }) => aborted);
    if (first !== undefined) joint[OWN](first.reason);
    else for (const one of all) one.addEventListener("abort", () => joint[OWN](one.reason), { once: true });
    return joint;
  }
}

/** `AbortController` of the DOM standard. */
export class AbortController {
  readonly signal = new AbortSignal(OWN);

  abort(reason?: unknown): void {
    this.signal[OWN](reason);
  }
}
