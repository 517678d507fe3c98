import type { Manifest } from "../core/manifest.ts";
import type { Item } from "./item.ts";

/**
 * When what waits is handed to `batch` of a function: as soon as there is enough of it, or some time after the first of it came. Without a setting, at
 * once. Messages wait where they wait anyway, so that this takes no room.
 */
export class BatchWindow {
  readonly #settings: Manifest["batch"];
  readonly #over: () => void;
  #timer: NodeJS.Timeout | undefined;
  #elapsed = false;
  /** Messages that have waited long enough. */
  #owed = 0;

  /** Calls `over` when `isOver` is to be asked again. */
  constructor(settings: Manifest["batch"], over: () => void) {
    this.#settings = settings;
    this.#over = over;
  }

  /** Messages that are handed over at once, at most; undefined when that is for others to say. */
  get size(): number | undefined {
    return this.#settings?.size;
  }

  isOver(queue: readonly Item[]): boolean {
    const [first] = queue;
    if (this.#settings === undefined || first === undefined) return true;
    if (this.#elapsed) this.#owed = queue.length;
    this.#elapsed = false;
    const { size, windowMs } = this.#settings;
    // What is tried again is handled alone, and has waited for that.
    if (this.#owed > 0 || windowMs === 0 || queue.length >= size || first.attempt > 1 || first.suspect) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#elapsed = true;
      this.#over();
    }, windowMs);
    return false;
  }

  /** So many were taken; those behind them wait anew. */
  taken(count: number): void {
    this.#owed = Math.max(0, this.#owed - count);
    this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
