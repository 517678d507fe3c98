import { decode } from "cbor-x";
import type { OutboxEvent } from "../core/event.ts";

/** Events that a lane which keeps only the latest may hold; memory holds where each of them is. */
const SUBJECTS_MAX = 100_000;

/** An event that waits as the newest of its function, type and subject. */
export interface Latest {
  readonly function: string;
  readonly key: Buffer;
  readonly bytes: number;
}

type Named = Pick<OutboxEvent, "function" | "type" | "subject">;

/** Which event is the newest of its function, type and subject in one lane. The one whose subject was silent longest comes first. */
export class LatestIndex {
  readonly #events = new Map<string, Latest>();

  get isFull(): boolean {
    return this.#events.size >= SUBJECTS_MAX;
  }

  set(event: Named, latest: Latest): void {
    this.#events.set(nameOf(event), latest);
  }

  /** Takes the newest event of this name out. */
  take(event: Named): Latest | undefined {
    const name = nameOf(event);
    const found = this.#events.get(name);
    this.#events.delete(name);
    return found;
  }

  /** Takes the event out whose subject was silent longest. */
  takeOldest(): Latest | undefined {
    for (const [name, latest] of this.#events) {
      this.#events.delete(name);
      return latest;
    }
    return undefined;
  }

  /** Takes this event out; false when it was replaced already. */
  takeExactly({ key, event }: { readonly key: Buffer; readonly event: Buffer }): boolean {
    const decoded = decode(event) as OutboxEvent;
    if (this.#events.get(nameOf(decoded))?.key.equals(key) !== true) return false;
    return this.take(decoded) !== undefined;
  }
}

function nameOf({ function: name, type, subject }: Named): string {
  return `${name}\0${type}\0${subject}`;
}
