import type { Manifest } from "../core/manifest.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { Route, Routed } from "./route.ts";
import type { TailJournal } from "./tail.ts";

/** The journal is at its quota: messages below `floor` would have to go for room. Or it is not any more. */
export type Pressure = { readonly over: true; readonly floor: number } | { readonly over: false };

const READ_MESSAGES = 1_024;
/** Keys whose newest message is looked for; messages of further ones are kept. */
const KEYS_MAX = 100_000;

interface SheddingOwner {
  readonly overflow: Manifest["overflow"];
  readonly journal: TailJournal;
  head(): number;
  route(message: Routed): Route<unknown> | undefined;
}

/** Which messages of a function are dropped while the journal is full, as its manifest chose. */
export class Shedding {
  readonly #owner: SheddingOwner;
  #below = 0;
  /** The newest message of each key. */
  #newest: ReadonlyMap<string, number> = new Map();
  #pressure: Pressure = { over: false };
  /** The whole journal is read for the newest messages, so that is never begun again while it is being done. */
  #looking = false;
  /** How often there has been room again. */
  #relieved = 0;

  constructor(owner: SheddingOwner) {
    this.#owner = owner;
  }

  /** Whether there may be messages that are dropped. */
  get drops(): boolean {
    return this.#pressure.over && (this.#below > 0 || this.#newest.size > 0);
  }

  /** A volatile message takes no room in the journal. */
  isStale({ seq, volatile }: JournaledMessage, key: string): boolean {
    if (!this.#pressure.over || volatile === true) return false;
    return seq < this.#below || seq < (this.#newest.get(key) ?? 0);
  }

  /** Resolves with true when messages from `from` on have to be looked at again. */
  async update(pressure: Pressure, from: number): Promise<boolean> {
    this.#pressure = pressure;
    const { overflow } = this.#owner;
    if (!pressure.over || (overflow !== "drop-oldest" && overflow !== "keep-latest")) {
      this.#newest = new Map();
      if (!pressure.over) this.#relieved++;
      return false;
    }
    if (overflow === "drop-oldest") this.#below = pressure.floor;
    else return this.#learnNewest(from);
    return true;
  }

  async #learnNewest(from: number): Promise<boolean> {
    if (this.#looking) return false;
    this.#looking = true;
    try {
      while (this.#pressure.over) {
        const relieved = this.#relieved;
        const newest = await this.#lookForNewest(from);
        if (relieved !== this.#relieved) continue;
        // What was the newest then need not be it any more; all before it is out of date in any case.
        this.#newest = newest;
        return true;
      }
      return false;
    } finally {
      this.#looking = false;
    }
  }

  async #lookForNewest(from: number): Promise<ReadonlyMap<string, number>> {
    const newest = new Map<string, number>();
    const end = this.#owner.head();
    const relieved = this.#relieved;
    for (let at = from; at < end && relieved === this.#relieved;) {
      const messages = await this.#owner.journal.read(at, READ_MESSAGES);
      for (const message of messages) {
        const { seq } = message;
        const key = this.#owner.route(message)?.key;
        if (key !== undefined && (newest.size < KEYS_MAX || newest.has(key))) newest.set(key, seq);
      }
      at = (messages.at(-1)?.seq ?? end) + 1;
    }
    return newest;
  }
}
