import { setImmediate } from "node:timers/promises";
import type { ControlStats } from "../core/control-api.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { EventAck } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import { type ReadBatch, readBatch } from "./batch.ts";
import type { EventLog, EventRow } from "./event-log.ts";
import { isDataFault } from "./store.ts";
import { unpack } from "./unpack.ts";

/** What waits in memory. A gateway keeps at most 8 batches of half a megabyte unacknowledged, so this is enough for a dozen at full speed. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** One transaction; a larger one would hold up the API for longer and gain nothing. */
const GROUP_BATCHES_MAX = 8;
const GROUP_BYTES_MAX = 2 * 1024 * 1024;

interface Waiting {
  readonly gateway: string;
  readonly payload: Uint8Array;
}

type Counters = ControlStats["ingest"];

/**
 * Takes batches of events from the link to the store. A batch is acknowledged only after its commit; what the store did not take gets no
 * acknowledgement, and its gateway sends it again. An event that can never be stored is counted as rejected and does not hold up its batch.
 */
export class Ingest {
  readonly #log: EventLog;
  readonly #ack: (gateway: string, ack: EventAck) => void;
  readonly #logger: Logger;
  readonly #counters: Counters = { batches: 0, stored: 0, duplicates: 0, rejected: 0, malformed: 0, refused: 0, failed: 0 };
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #closed = false;
  #running: Promise<void> | undefined;

  constructor(log: EventLog, ack: (gateway: string, ack: EventAck) => void, logger: Logger) {
    this.#log = log;
    this.#ack = ack;
    this.#logger = logger;
  }

  get counters(): Counters {
    return { ...this.#counters };
  }

  /** Queues the payload of an `events` message. When the queue is full the batch is left to its gateway to send again. */
  offer(gateway: string, payload: Uint8Array): void {
    if (this.#closed || this.#waitingBytes + payload.length > QUEUE_BYTES_MAX) {
      this.#counters.refused += 1;
      return;
    }
    this.#waiting.push({ gateway, payload });
    this.#waitingBytes += payload.length;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  /** Finishes the transaction that runs; what still waits is left to the gateways. */
  readonly close = once(async () => {
    this.#closed = true;
    this.#waiting.length = 0;
    await this.#running;
  });

  async #run(): Promise<void> {
    // The first turn lets the packets that have already arrived come into the same group.
    await setImmediate();
    while (this.#waiting.length > 0) await this.#storeGroup(await this.#takeGroup());
  }

  async #takeGroup(): Promise<ReadBatch[]> {
    const taken: Waiting[] = [];
    let bytes = 0;
    while (taken.length < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      bytes += next.payload.length;
      taken.push(next);
    }
    this.#waitingBytes -= bytes;
    const group = await Promise.all(taken.map((waiting) => this.#read(waiting)));
    return group.filter((batch) => batch !== undefined);
  }

  async #read({ gateway, payload }: Waiting): Promise<ReadBatch | undefined> {
    try {
      const batch = readBatch(gateway, await unpack(payload));
      if (batch === undefined) this.#malformed(gateway, undefined);
      return batch;
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#malformed(gateway, error);
      return undefined;
    }
  }

  async #storeGroup(group: readonly ReadBatch[]): Promise<void> {
    try {
      const filled = group.filter((batch) => batch.rows.length > 0);
      const stored = new Map((filled.length === 0 ? [] : await this.#log.append(filled)).map((count, at) => [filled[at], count]));
      for (const batch of group) this.#done(batch, stored.get(batch) ?? 0, 0);
    } catch (error) {
      if (group.length === 1 || !isDataFault(error)) await this.#afterFailure(group, error);
      else for (const batch of group) await this.#storeGroup([batch]);
    }
  }

  async #afterFailure(group: readonly ReadBatch[], error: unknown): Promise<void> {
    const [batch] = group;
    if (batch === undefined || !isDataFault(error)) return this.#failed(group, error);
    try {
      const { stored, rejected } = await this.#sift(batch, batch.rows);
      this.#done({ ...batch, reason: messageOf(error) }, stored, rejected);
    } catch (failure) {
      this.#failed(group, failure);
    }
  }

  /** Finds the rows that the store refuses, by halves; each half that it takes is committed on its own. */
  async #sift(batch: ReadBatch, rows: readonly EventRow[]): Promise<{ stored: number; rejected: number }> {
    try {
      const [stored = 0] = await this.#log.append([{ ...batch, rows }]);
      return { stored, rejected: 0 };
    } catch (error) {
      if (!isDataFault(error)) throw error;
      if (rows.length === 1) return { stored: 0, rejected: 1 };
    }
    const middle = rows.length >> 1;
    const first = await this.#sift(batch, rows.slice(0, middle));
    const second = await this.#sift(batch, rows.slice(middle));
    return { stored: first.stored + second.stored, rejected: first.rejected + second.rejected };
  }

  /** Everything of the batch that can be stored is committed. `sifted` rows were refused by the store. */
  #done(batch: ReadBatch, stored: number, sifted: number): void {
    const rejected = batch.rejected + sifted;
    const duplicates = batch.rows.length - sifted - stored;
    this.#counters.batches += 1;
    this.#counters.stored += stored;
    this.#counters.duplicates += duplicates;
    this.#counters.rejected += rejected;
    if (rejected > 0) {
      this.#logger.warn(
        { gateway: batch.gateway, batch: batch.batch, rejected, reason: batch.reason },
        "events rejected: they can never be stored",
      );
    }
    this.#ack(batch.gateway, { batch: batch.batch, stored, duplicates, rejected });
  }

  #failed(group: readonly ReadBatch[], error: unknown): void {
    this.#counters.failed += group.length;
    this.#logger.error({ err: error, batches: group.length }, "events not stored and not acknowledged; their gateways send them again");
  }

  #malformed(gateway: string, error: MillraceError | undefined): void {
    this.#counters.malformed += 1;
    this.#logger.warn({ gateway, code: error?.code, error: error?.message }, "a batch of events cannot be read");
  }
}
