import type { Stretch } from "./upload-order.ts";

/** An event of the outbox, in the encoding in which it travels. */
export interface OutboxRow {
  readonly lane: number;
  readonly position: number;
  readonly key: Buffer;
  readonly event: Buffer;
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number;
}

export interface BatchLimits {
  readonly events: number;
  readonly bytes: number;
}

export const BATCH_EVENTS_MAX = 1000;
export const BATCH_BYTES_MAX = 512 * 1024;

/**
 * What of the rows that were read for a stretch goes into the next batch, what has expired instead, and the position up to which the stretch is
 * done with. A batch may be larger than its bytes by one event, so that every event can be sent.
 */
export function cutBatch(
  rows: readonly OutboxRow[],
  stretch: Stretch,
  limits: BatchLimits,
  now: number,
): { send: OutboxRow[]; expired: OutboxRow[]; last: number } {
  const send: OutboxRow[] = [];
  const expired: OutboxRow[] = [];
  const end = stretch.stream === "backlog" ? stretch.last : Infinity;
  let bytes = 0;
  let last = stretch.after;
  for (const row of rows) {
    if (row.position > end) return { send, expired, last: stretch.last };
    if (bytes >= limits.bytes || send.length >= limits.events) return { send, expired, last };
    last = row.position;
    if (row.expiresAt !== undefined && row.expiresAt <= now) {
      expired.push(row);
      continue;
    }
    send.push(row);
    bytes += row.event.length;
  }
  // What was read less than was asked for is all that there is.
  const all = rows.length < limits.events && rows.reduce((sum, { event }) => sum + event.length, 0) < limits.bytes;
  return { send, expired, last: all ? Math.max(last, stretch.last) : last };
}
