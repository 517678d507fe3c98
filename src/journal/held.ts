import { MillraceError } from "../core/errors.ts";

/** Why messages from clients have to wait. */
export type Hold = "quota" | "space";

/** What is asked of a write that may have to wait. */
interface HeldWrite {
  readonly point: string;
  readonly entries: readonly { readonly record: Uint8Array }[];
  /** The QoS 2 key of its message. */
  readonly once?: string;
  readonly done: (error?: MillraceError) => void;
}

/** What may wait in memory. A client that comes back sends again what was not acknowledged, so without a bound there is no end to it. */
const WRITES_MAX = 100_000;
const BYTES_MAX = 64 * 1024 * 1024;

/** Messages from clients that wait for room. None of them is acknowledged, so each can be refused and sent again. */
export class Held<Write extends HeldWrite> {
  readonly #reasons = new Set<Hold>();
  #writes: Write[] = [];
  #bytes = 0;

  get reasons(): readonly Hold[] {
    return [...this.#reasons];
  }

  /** Keeps a message while there is a reason, or refuses it when too many wait; false when it is not concerned. */
  takes(write: Write): boolean {
    if (this.#reasons.size === 0 || (write.point !== "append" && write.point !== "qos2-append")) return false;
    if (this.#writes.length >= WRITES_MAX || this.#bytes + bytesOf(write) > BYTES_MAX) {
      write.done(new MillraceError("JOURNAL_FULL", "the journal is full and too many messages wait for room in it"));
      return true;
    }
    this.#keep(write);
    return true;
  }

  /** Returns what need not wait any more. */
  change(why: Hold, on: boolean): readonly Write[] {
    if (on) this.#reasons.add(why);
    else this.#reasons.delete(why);
    return this.#reasons.size === 0 ? this.#empty() : [];
  }

  /** Takes out the messages whose QoS 2 keys are wanted: their clients do not wait for them any more. */
  withdraw(wanted: (key: string) => boolean): void {
    if (this.#writes.length === 0) return;
    const gone = new MillraceError("JOURNAL_FULL", "the journal was full until the session of the client ended");
    for (const write of this.#empty()) {
      if (write.once === undefined || !wanted(write.once)) this.#keep(write);
      else write.done(gone);
    }
  }

  refuse(error: MillraceError): void {
    for (const write of this.#empty()) write.done(error);
  }

  #keep(write: Write): void {
    this.#writes.push(write);
    this.#bytes += bytesOf(write);
  }

  #empty(): Write[] {
    this.#bytes = 0;
    return this.#writes.splice(0);
  }
}

function bytesOf({ entries }: HeldWrite): number {
  return entries.reduce((sum, { record }) => sum + record.length, 0);
}
