import { BatchWindow } from "./batch-window.ts";
import { type Item, oldestOf, togetherOf } from "./item.ts";
import type { Manifest } from "../core/manifest.ts";
import type { Trial } from "./trial.ts";

const NEXT = 64;

/** The messages of a lane that may be handled as soon as there is room, in that order. */
export class LaneQueue {
  readonly #items: Item[] = [];
  readonly #window: BatchWindow;

  /** Calls `over` when `isReady` is to be asked again. */
  constructor(settings: Manifest["batch"], over: () => void) {
    this.#window = new BatchWindow(settings, over);
  }

  get length(): number {
    return this.#items.length;
  }
  get first(): Item | undefined {
    return this.#items[0];
  }
  /** How what comes next is to be tried. */
  get trial(): Trial {
    return this.first?.trial ?? "none";
  }
  /** When the oldest message arrived, in milliseconds since the epoch; Infinity when there is none. */
  get oldest(): number {
    return oldestOf(this.#items);
  }
  /** Whether what is here may be handed over now. */
  get isReady(): boolean {
    return this.#window.isOver(this.#items);
  }
  /** Whether some are to be tried in a way of their own, to find out what they have done. */
  get hasSuspects(): boolean {
    return this.#items.some(({ suspect, trial }) => suspect || trial !== "none");
  }

  has(key: string): boolean {
    return this.#items.some((item) => item.key === key);
  }

  /** Whether one of those that come next has a key like this. */
  hasNext(isWanted: (key: string) => boolean): boolean {
    return this.#items.slice(0, NEXT).some(({ key }) => isWanted(key));
  }

  keys(): Iterable<string> {
    return this.#items.map(({ key }) => key);
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Puts them before the others. */
  unshift(items: readonly Item[]): void {
    this.#items.unshift(...items);
  }

  /** A suspect alone, or what stands before the next one; what one call of `batch` gets is for its author to say, otherwise `fitting`. */
  take(fitting: () => number): Item[] {
    const items = this.#items.splice(0, togetherOf(this.#items, this.#window.size ?? fitting()));
    this.#window.taken(items.length);
    return items;
  }

  /** Takes out those that are wanted, asking about each once and in order. */
  extract(isWanted: (item: Item) => boolean): Item[] {
    const extracted: Item[] = [];
    for (const item of this.#items.splice(0)) (isWanted(item) ? extracted : this.#items).push(item);
    return extracted;
  }

  /** Takes out everything; what comes back waits anew. */
  takeAll(): Item[] {
    const items = this.#items.splice(0);
    this.#window.taken(items.length);
    return items;
  }

  stop(): void {
    this.#window.stop();
  }
}
