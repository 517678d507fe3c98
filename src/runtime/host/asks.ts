/** A message needs its state once, and a batch has at most 256 messages. */
export const ASKS_MAX = 1_000;
/** Of keys and of what is asked of the gateway, in one batch or at once. */
const CHARS_MAX = 32 * 1024 * 1024;
/** Each alarm that has rung lets the function ask for as many more: for the next one, and for an earlier one instead. */
const ASKS_OF_A_WAKE = 2;
/** The gateway takes no more in one call; the guest keeps within less. */
const HEAD_CHARS_MAX = 64 * 1024;
const BODY_CHARS_MAX = 8 * 1024 * 1024;

/** How often and with how much a function may still ask in its batch. The guest asks for little, but its code may have broken that. */
export class Asks {
  #left = ASKS_MAX;
  #charsLeft = CHARS_MAX;
  /** Calls without an answer, and their characters; those that are called off without them. */
  readonly #open = new Map<number, number>();
  readonly #off = new Set<number>();

  /** Another batch: what the last one has left behind does not count, and gets no answer. */
  begin(): void {
    this.#left = ASKS_MAX;
    this.#charsLeft = CHARS_MAX;
    this.#open.clear();
    this.#off.clear();
  }

  get areTooMany(): boolean {
    return this.#left < 0 || this.#charsLeft < 0;
  }

  /** Whether one more is let through. */
  take(chars: number): boolean {
    this.#left--;
    this.#charsLeft -= chars;
    return !this.areTooMany;
  }

  woken(): void {
    this.#left += ASKS_OF_A_WAKE;
  }

  /** The same for a call, which counts until it is answered. */
  call(request: number, { headChars, bodyChars }: { readonly headChars: number; readonly bodyChars: number }): boolean {
    if (!Number.isInteger(request) || request < 0 || request >= 2 ** 32 || this.#open.has(request)) this.#left = -1;
    if (headChars > HEAD_CHARS_MAX || bodyChars > BODY_CHARS_MAX) this.#left = -1;
    this.#open.set(request, headChars + bodyChars);
    return this.take(headChars + bodyChars);
  }

  /** Whether it is called off for the first time. */
  callOff(request: number): boolean {
    if (!this.#open.has(request) || this.#off.has(request)) return false;
    this.#off.add(request);
    return !this.areTooMany;
  }

  /** Whether somebody may wait for the answer. */
  answered(request: number): boolean {
    const chars = this.#open.get(request);
    if (chars === undefined) return false;
    this.#open.delete(request);
    this.#left++;
    this.#charsLeft += chars;
    return !this.#off.delete(request);
  }
}
