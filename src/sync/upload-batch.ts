import type { OutboxEvent } from "../core/event.ts";

export interface OutboxRow {
  readonly position: number;
  readonly event: OutboxEvent;
}

export const BATCH_EVENTS_MAX = 1000;
export const BATCH_BYTES_MAX = 512 * 1024;
/** A single event may be larger than a batch should be, up to this; the control plane takes packets of 4 MB. */
export const EVENT_BYTES_MAX = 2 * 1024 * 1024;
/** The other attributes and the envelope of an event, generously. */
const OVERHEAD_BYTES = 128;

/** What the next batch holds, from `rows[at]` on. Events too large to be sent at all are left out and counted, or they would block the rest. */
export function nextBatch(
  rows: readonly OutboxRow[],
  at: number,
): { events: readonly OutboxEvent[]; last: number; oversized: number; next: number } {
  const events: OutboxEvent[] = [];
  let bytes = 0;
  let oversized = 0;
  let next = at;
  for (; next < rows.length && events.length < BATCH_EVENTS_MAX; next++) {
    const event = rows[next]?.event;
    if (event === undefined) break;
    const size = sizeOf(event);
    if (size > EVENT_BYTES_MAX) {
      oversized += 1;
      continue;
    }
    if (events.length > 0 && bytes + size > BATCH_BYTES_MAX) break;
    events.push(event);
    bytes += size;
  }
  return { events, last: rows[next - 1]?.position ?? 0, oversized, next };
}

function sizeOf({ id, function: name, type, subject, data }: OutboxEvent): number {
  return OVERHEAD_BYTES + id.length + name.length + type.length + Buffer.byteLength(subject) + Buffer.byteLength(data);
}
