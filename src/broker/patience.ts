/** How long those who publish wait for a subscriber that takes nothing. */
const WAIT_MS_MAX = 1_000;
/** The same for one that they have waited for in vain in the minute before. */
const AGAIN_MS_MAX = 50;
const REMEMBERED_MS = 60_000;
/** Of the event loop. What a subscriber has taken shows when its socket was looked at, and in turns that take long all others come before that. */
const TURNS_MIN = 2;

/**
 * Publishers wait for a subscriber that is slow, so that it misses nothing; but one that takes nothing at all would stop everybody who publishes what
 * it subscribes to. Their patience ends, and is back when the subscriber takes something.
 */
export class Patience {
  readonly #end: () => void;
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;
  #isOver = false;
  #overAt = -Infinity;

  /** `end` is called when it is over. */
  constructor(end: () => void) {
    this.#end = end;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Somebody waits. */
  wait(): void {
    if (this.#isOver || this.#timer !== undefined || this.#turn !== undefined) return;
    const again = performance.now() - this.#overAt < REMEMBERED_MS;
    this.#timer = setTimeout(() => this.#look(TURNS_MIN), again ? AGAIN_MS_MAX : WAIT_MS_MAX).unref();
  }

  /** The subscriber has taken something, or nobody waits any more. */
  restore(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    this.#timer = undefined;
    this.#turn = undefined;
    if (this.#isOver) this.#overAt = performance.now();
    this.#isOver = false;
  }

  #look(turns: number): void {
    this.#timer = undefined;
    this.#turn = turns === 0 ? undefined : setImmediate(() => this.#look(turns - 1));
    if (turns === 0) this.#lose();
  }

  #lose(): void {
    this.#isOver = true;
    this.#overAt = performance.now();
    this.#end();
  }
}
