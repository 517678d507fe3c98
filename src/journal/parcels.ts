import { decodeMessage } from "../core/message.ts";

/** What a consumer publishes in one batch of writes: one entry in the database, which stays until the broker has taken all of it. */
export interface Parcel {
  readonly number: number;
  readonly consumer: string;
  readonly records: readonly Uint8Array[];
}

/**
 * Gathers the publishes of a batch by consumer, so that subscribers who do not take what one of them publishes keep nothing of the others on disk and
 * in memory. Those of a consumer stay in their order. Between consumers there is none within a batch: nothing in it can have come of another part of it.
 */
export class Parcels {
  readonly #records = new Map<string, Uint8Array[]>();

  add(consumer: string, records: readonly Uint8Array[]): void {
    if (records.length === 0) return;
    const known = this.#records.get(consumer);
    if (known === undefined) this.#records.set(consumer, [...records]);
    else for (const record of records) known.push(record);
  }

  numbered(first: number): readonly Parcel[] {
    return [...this.#records].map(([consumer, records], index) => ({ number: first + index, consumer, records }));
  }
}

/** Who published a record: the function in its source. */
export function publisherOf(record: Uint8Array): string {
  const { source } = decodeMessage(record);
  return source.startsWith("fn:") ? source.slice("fn:".length) : source;
}
