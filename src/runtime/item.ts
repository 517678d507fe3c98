import type { JournaledMessage } from "../core/message.ts";

/** One message for one function. */
export interface Item {
  readonly message: JournaledMessage;
  /** Everything from this seq on up to the message is done with it: what lies between does not concern the function. */
  readonly start: number;
  readonly trigger: number;
  readonly key: string;
  readonly keyBytes: Buffer;
  attempt: number;
  /** The guest holds the key back since an attempt failed, and may go on with this item. */
  resume: boolean;
  /** It was under way when something went wrong that may have been its doing: it is handled alone from now on. */
  suspect: boolean;
  /** What its idempotency key is remembered by; null when it has none, undefined as long as nobody asked. */
  mark?: string | null;
}

export function itemHead(item: Item, last: boolean): Buffer {
  const head = Buffer.allocUnsafe(11);
  head[0] = (item.resume ? 1 : 0) | (last ? 2 : 0);
  head[1] = Math.min(item.attempt, 255);
  head[2] = item.trigger;
  head.writeUIntBE(item.message.seq, 3, 6);
  head.writeUInt16BE(item.keyBytes.length, 9);
  return head;
}
