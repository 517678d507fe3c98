import type { Blank, BlankMaker } from "./blank.ts";
import { BlankSizes } from "./blank-sizes.ts";

/** Between two isolates that are made ahead, and after a start: the function's first messages come first. */
const FILL_INTERVAL_MS = 10;
const SHRINK_INTERVAL_MS = 5_000;

export interface BlankPoolOptions {
  readonly maker: Pick<BlankMaker, "now" | "ahead">;
  /** Whether nobody waits for the host's thread. */
  readonly quiet: () => boolean;
}

export interface Taken {
  readonly blank: Blank | Promise<Blank>;
  /** It had been made before. */
  readonly pooled: boolean;
}

interface Making {
  readonly memoryMb: number;
  readonly blank: Promise<Blank>;
  /** Somebody waits for it. */
  isTaken: boolean;
}

/** Blank isolates that are ready before somebody asks. How many, and how large, follows demand; they are made while there is nothing else to do. */
export class BlankPool implements Disposable {
  readonly #options: BlankPoolOptions;
  readonly #sizes = new BlankSizes();
  readonly #ready = new Map<number, Blank[]>();
  #making: Making | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** What the timer is for: one more, or a look whether there are too many. */
  #isFilling = false;
  #closed = false;

  constructor(options: BlankPoolOptions) {
    this.#options = options;
    this.#schedule();
  }

  get size(): number {
    return [...this.#ready.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** One that is ready, or that is being made already: what is left of that takes less than another one. */
  take(memoryMb: number): Taken {
    this.#sizes.took(memoryMb, performance.now());
    const ready = this.#ready.get(memoryMb)?.pop();
    const making = ready === undefined ? this.#making : undefined;
    this.#schedule();
    if (ready !== undefined) return { blank: ready, pooled: true };
    if (making?.memoryMb !== memoryMb || making.isTaken) return { blank: this.#options.maker.now(memoryMb), pooled: false };
    making.isTaken = true;
    return { blank: making.blank, pooled: false };
  }

  #schedule(): void {
    if (this.#making !== undefined || this.#closed) return;
    const isMissing = this.#difference().missing !== undefined;
    if (this.#timer !== undefined && (this.#isFilling || !isMissing)) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // As long as there are more than one, fewer may do in a while.
    if (!isMissing && this.size <= 1) return;
    this.#isFilling = isMissing;
    const interval = isMissing ? FILL_INTERVAL_MS : SHRINK_INTERVAL_MS;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#adjust();
    }, interval).unref();
  }

  /** A size of which there is not enough, and one of which there is too much. */
  #difference(): { readonly missing?: number; readonly surplus?: number } {
    const wanted = this.#sizes.wanted(performance.now());
    const missing = [...wanted].find(([memoryMb, count]) => count > (this.#ready.get(memoryMb)?.length ?? 0));
    const surplus = [...this.#ready].find(([memoryMb, { length }]) => length > (wanted.get(memoryMb) ?? 0));
    return { ...(missing === undefined ? {} : { missing: missing[0] }), ...(surplus === undefined ? {} : { surplus: surplus[0] }) };
  }

  /** One more or one less. What goes wrong here is a bug and ends the process. */
  async #adjust(): Promise<void> {
    const { missing, surplus } = this.#difference();
    if (missing === undefined) {
      if (surplus !== undefined) this.#ready.get(surplus)?.pop()?.isolate.dispose();
    } else if (this.#options.quiet()) {
      await this.#make(missing);
    }
    this.#schedule();
  }

  async #make(memoryMb: number): Promise<void> {
    const making: Making = { memoryMb, blank: this.#options.maker.ahead(memoryMb), isTaken: false };
    this.#making = making;
    const blank = await making.blank;
    this.#making = undefined;
    if (making.isTaken) return;
    if (this.#closed) return blank.isolate.dispose();
    const ready = this.#ready.get(memoryMb);
    if (ready === undefined) this.#ready.set(memoryMb, [blank]);
    else ready.push(blank);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { isolate } of [...this.#ready.values()].flat()) isolate.dispose();
    this.#ready.clear();
  }
}
