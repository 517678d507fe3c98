import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

/** A look reads everything that a function keeps, so that looking takes at most a hundredth of the time. */
const REST_FACTOR = 100;
const REST_MS_MIN = 1_000;

interface Known {
  readonly bytes: number;
  /** What the function had handled before. */
  readonly handled: number;
}

/** How much functions keep. Looked at in the background, one function at a time, and only when somebody wants to know. */
export class StateSizes implements AsyncDisposable {
  readonly #read: (name: string) => Promise<number>;
  readonly #logger: Logger;
  readonly #known = new Map<string, Known>();
  /** Functions that have handled something since they were looked at, or never were. */
  readonly #wanted = new Map<string, number>();
  #looking: Promise<void> | undefined;
  #notBefore = 0;
  #closed = false;

  constructor(read: (name: string) => Promise<number>, logger: Logger) {
    this.#read = read;
    this.#logger = logger;
  }

  /** The bytes of keys, names and values, as they were not long ago; undefined as long as nobody has looked. `handled` messages by now. */
  of(name: string, handled: number): number | undefined {
    const known = this.#known.get(name);
    if (known?.handled !== handled) {
      this.#wanted.set(name, handled);
      if (this.#looking === undefined && !this.#closed && performance.now() >= this.#notBefore) {
        this.#looking = this.#look().finally(() => (this.#looking = undefined));
      }
    }
    return known?.bytes;
  }

  /** Resolves when what was asked for is known. */
  async looked(): Promise<void> {
    await this.#looking;
  }

  forget(name: string): void {
    this.#known.delete(name);
    this.#wanted.delete(name);
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    await Promise.resolve(); // Whoever asks is about to ask for the other functions, too.
    try {
      for (const [name, handled] of this.#wanted) {
        if (this.#closed) break;
        const bytes = await this.#read(name);
        if (this.#wanted.delete(name)) this.#known.set(name, { bytes, handled });
      }
    } catch (error) {
      this.#logger.error({ error: messageOf(error) }, "the state of functions cannot be measured");
    }
    const now = performance.now();
    this.#notBefore = now + Math.max(REST_MS_MIN, REST_FACTOR * (now - startedAt));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#looking;
  }
}
