import type { Database } from "./database.ts";
import { eventKey, parseEventKey } from "./outbox-keys.ts";
import { LANES, OVERFLOWS_PER_PRIORITY, PRIORITY_MAX } from "../core/outbox-lanes.ts";

const RECORD_BYTES = 1 + 6 + 6;

/**
 * How much waits in each lane, kept exactly: it is counted with every write, and the record of it is part of that write. Sizes are those of
 * keys and values.
 */
export class OutboxUsage {
  /** Position of the next event that is staged. */
  next = 1;
  readonly #counts = new Float64Array(LANES);
  readonly #bytes = new Float64Array(LANES);
  #total = 0;
  #totalBytes = 0;

  get count(): number {
    return this.#total;
  }

  get bytes(): number {
    return this.#totalBytes;
  }

  countOf(lane: number): number {
    return this.#counts[lane] ?? 0;
  }

  bytesOf(lane: number): number {
    return this.#bytes[lane] ?? 0;
  }

  /** Of all lanes with this priority. */
  bytesOfPriority(priority: number): number {
    let sum = 0;
    for (let lane = (PRIORITY_MAX - priority) * OVERFLOWS_PER_PRIORITY, left = OVERFLOWS_PER_PRIORITY; left > 0; lane++, left--)
      sum += this.bytesOf(lane);
    return sum;
  }

  /** Adds events, or with negative numbers takes them away. */
  change(lane: number, count: number, bytes: number): void {
    this.#counts[lane] = this.countOf(lane) + count;
    this.#bytes[lane] = this.bytesOf(lane) + bytes;
    this.#total += count;
    this.#totalBytes += bytes;
  }

  /** The next position, and number, count and bytes of each lane in which something waits. */
  encode(): Buffer {
    const used: number[] = [];
    for (let lane = 0; lane < LANES; lane++) if (this.countOf(lane) > 0) used.push(lane);
    const record = Buffer.allocUnsafe(6 + used.length * RECORD_BYTES);
    let at = record.writeUIntBE(this.next, 0, 6);
    for (const lane of used) {
      at = record.writeUInt8(lane, at);
      at = record.writeUIntBE(this.countOf(lane), at, 6);
      at = record.writeUIntBE(this.bytesOf(lane), at, 6);
    }
    return record;
  }

  /** Of what is really there, for a database from which something was lost. The record is looked at only for the next position. */
  static async counted(database: Database, record: Buffer | undefined): Promise<OutboxUsage> {
    const usage = new OutboxUsage();
    usage.next = OutboxUsage.decode(record).next;
    for await (const [key, event] of database.iterator({ gte: eventKey(0, 0), lt: eventKey(LANES, 0) })) {
      const { lane, position } = parseEventKey(key);
      usage.change(lane, 1, key.length + event.length);
      usage.next = Math.max(usage.next, position + 1);
    }
    return usage;
  }

  static decode(record: Buffer | undefined): OutboxUsage {
    const usage = new OutboxUsage();
    if (record === undefined) return usage;
    usage.next = record.readUIntBE(0, 6);
    for (let at = 6; at < record.length; at += RECORD_BYTES) {
      usage.change(record.readUInt8(at), record.readUIntBE(at + 1, 6), record.readUIntBE(at + 7, 6));
    }
    return usage;
  }
}
