const LOOK_MS = 10;
/** Timers are that late on a machine with nothing to do. */
const USUAL_MS = 2;

/**
 * How late this thread comes to what is due: it has to wait for a processor, or does something else for long. Everything that a handler waits for comes
 * through it. Looks only while somebody wants to know.
 */
export class Lateness implements Disposable {
  readonly #now: () => number;
  #users = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #lateMs = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Milliseconds in all, as far as somebody wanted to know. */
  get ms(): number {
    return this.#lateMs + (this.#users === 0 ? 0 : Math.max(0, this.#now() - this.#dueAt - USUAL_MS));
  }

  /** `ms` is right from now on, until `leave`. */
  join(): void {
    if (++this.#users > 1) return;
    this.#dueAt = this.#now() + LOOK_MS;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  leave(): void {
    this.#lateMs = this.ms;
    if (--this.#users > 0) this.#dueAt = Math.max(this.#dueAt, this.#now());
    else this[Symbol.dispose]();
  }

  #look(): void {
    this.#lateMs = this.ms;
    this.#dueAt = this.#now() + LOOK_MS;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
