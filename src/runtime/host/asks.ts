/** A message needs its state once, and a batch has at most 256 messages. */
export const ASKS_MAX = 1_000;
/** Keys whose state is asked for in one batch: one for each message and what is shared, and some of them again when they were too much at once. */
const KEYS_MAX = 2_048;
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
  #keysLeft = KEYS_MAX;
  /** Calls without an answer, and their characters; those that are called off without them. */
  readonly #open = new Map<number, number>();
  readonly #off = new Set<number>();

  /** Another batch: what the last one has left behind does not count, and gets no answer. */
  begin(): void {
    this.#left = ASKS_MAX;
    this.#charsLeft = CHARS_MAX;
    this.#keysLeft = KEYS_MAX;
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

  /** The same for a question about state; `keys` should be the JSON of a list of texts, and is looked at before anybody reads it as JSON. */
  state(keys: string): boolean {
    if (!this.take(keys.length)) return false;
    this.#keysLeft -= keysIn(keys);
    if (this.#keysLeft < 0 || hasControls(keys) || !areEscapesRight(keys)) this.#left = -1;
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

/** Of a character in hexadecimal; a key has no NUL in it. */
const CODE = /^(?!0000)[\da-f]{4}$/i;

/** Characters that JSON has only behind a backslash (RFC 8259, 7). */
function hasControls(json: string): boolean {
  for (let at = 0; at < json.length; at++) if (json.charCodeAt(at) < 0x20) return true;
  return false;
}

/** Whether the gateway can read what stands behind each backslash (RFC 8259, 7). */
function areEscapesRight(json: string): boolean {
  for (let at = json.indexOf("\\"); at !== -1; at = json.indexOf("\\", at)) {
    const isCode = json[at + 1] === "u";
    if (isCode ? !CODE.test(json.slice(at + 2, at + 6)) : !'"\\/bfnrt'.includes(json[at + 1] ?? " ")) return false;
    at += isCode ? 6 : 2;
  }
  return true;
}

/** How many texts the JSON of a list has, if it is laid out as `JSON.stringify` does it; otherwise more than anybody may ask for. */
function keysIn(json: string): number {
  let count = 0;
  for (let at = 0; json.startsWith(at === 0 ? '["' : ',"', at) && count <= KEYS_MAX; count++) {
    at = endOfText(json, at + 2);
    if (at === json.length - 1) return json.endsWith("]") ? count + 1 : Infinity;
  }
  return Infinity;
}

/** Behind the quote that ends the text which begins at `from`; 0 when none does. */
function endOfText(json: string, from: number): number {
  for (let at = json.indexOf('"', from); at !== -1; at = json.indexOf('"', at + 1)) {
    let slashes = 0;
    while (json[at - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return 0;
}
