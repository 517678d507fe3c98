import { findTrace } from "./item-trace.ts";
import type { Item } from "./item.ts";
import type { LaneOwner } from "./lane-owner.ts";

/** Those that are kept in memory while they have to wait; what comes after them is set aside. */
const WAITING_MAX = 8;

type Owner = Pick<LaneOwner, "gateway" | "name" | "settle" | "setAside" | "goOn" | "lettersFull" | "held">;

/**
 * Messages of a function that do not have the key that its manifest asks for. They belong to no lane, and are given up without being tried. As long as
 * there is no room for them among the dead letters they wait, and nobody waits for them.
 */
export class Unkeyed {
  readonly #owner: Owner;
  #waiting: Item[] = [];
  #stopped = false;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** `pump` follows. */
  offer(item: Item): void {
    const isAside = this.#owner.lettersFull && this.#waiting.length >= WAITING_MAX && this.#owner.setAside(item);
    if (!isAside) this.#waiting.push(item);
  }

  pump(): void {
    if (this.#stopped || this.#waiting.length === 0 || this.#owner.lettersFull || this.#owner.held) return;
    const items = this.#waiting.splice(0);
    this.#owner.settle(
      items.map((item) => {
        item.trace ??= findTrace(item.message, this.#owner) ?? null;
        const error = { code: "KEY_MISSING", name: "Error", message: item.missing ?? "", stack: "" };
        return { item, result: { status: "failed", logs: [], error }, dead: true };
      }),
    );
    for (const { key } of items.slice(-1)) this.#owner.goOn(key);
  }

  purge(isStale: (item: Item) => boolean): readonly Item[] {
    const stale = this.#waiting.filter((item) => isStale(item));
    this.#waiting = this.#waiting.filter((item) => !isStale(item));
    return stale;
  }

  /** Leaves what waits to whoever reads the journal next. */
  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }
}
