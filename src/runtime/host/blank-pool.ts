import type { Blank, BlankMaker } from "./blank.ts";
import { Demand } from "./demand.ts";

/** `limits.memory` of a manifest that does not say otherwise. Isolates of other sizes are made when they are asked for. */
const POOLED_MEMORY_MB = 32;
/** Between two isolates that are made ahead, and after a start: the function's first messages come first. */
const FILL_INTERVAL_MS = 10;
const SHRINK_INTERVAL_MS = 5_000;

export interface BlankPoolOptions {
  readonly maker: BlankMaker;
  /** Whether nobody waits for the host's thread. */
  readonly quiet: () => boolean;
}

/** Blank isolates that are ready before somebody asks. How many follows demand; they are made while there is nothing else to do. */
export class BlankPool implements Disposable {
  readonly #options: BlankPoolOptions;
  readonly #ready: Blank[] = [];
  readonly #demand = new Demand();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: BlankPoolOptions) {
    this.#options = options;
    this.#schedule();
  }

  get size(): number {
    return this.#ready.length;
  }

  take(memoryMb: number): { readonly blank: Blank; readonly pooled: boolean } {
    if (memoryMb !== POOLED_MEMORY_MB) return { blank: this.#options.maker.now(memoryMb), pooled: false };
    this.#demand.took(performance.now());
    const ready = this.#ready.pop();
    this.#schedule();
    return { blank: ready ?? this.#options.maker.now(memoryMb), pooled: ready !== undefined };
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#closed) return;
    const missing = this.#missing();
    if (missing === 0) return;
    this.#timer = setTimeout(() => void this.#adjust(), missing > 0 ? FILL_INTERVAL_MS : SHRINK_INTERVAL_MS).unref();
  }

  #missing(): number {
    return this.#demand.wanted(performance.now()) - this.#ready.length;
  }

  /** One more or one less. What goes wrong here is a bug and ends the process. */
  async #adjust(): Promise<void> {
    const missing = this.#missing();
    if (missing < 0) {
      this.#ready.pop()?.isolate.dispose();
    } else if (missing > 0 && this.#options.quiet()) {
      const blank = await this.#options.maker.ahead(POOLED_MEMORY_MB);
      if (this.#closed) blank.isolate.dispose();
      else this.#ready.push(blank);
    }
    this.#timer = undefined;
    this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { isolate } of this.#ready.splice(0)) isolate.dispose();
  }
}
