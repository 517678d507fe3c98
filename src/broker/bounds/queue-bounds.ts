import type { BrokerDropReason } from "../../core/stored-stats.ts";
import { entryBytes, queueKey } from "../session-shelf.ts";
import type { SessionWrite } from "../session-writes.ts";
import { QueueLedger } from "./queue-ledger.ts";

/** Of what waits in the queues of sessions for clients that are away or slow. */
export interface QueueLimits {
  /** Messages in the queue of one session. */
  readonly messagesMax: number;
  /** Bytes in the queue of one session. */
  readonly bytesMax: number;
  /** Bytes in all queues together, with what was sent and is not acknowledged. */
  readonly totalBytesMax: number;
}

interface Parts {
  readonly gateway: string;
  readonly limits: QueueLimits;
  dropped(reason: BrokerDropReason, client: string): void;
}

/** The part of the room of all queues that is made free at once: who has most is looked for each time. */
const RELIEF = 1 / 64;

const NOTHING: readonly never[] = [];

/**
 * Keeps the queues of sessions within their bounds. At a bound the message goes that has waited longest; when all queues together have too much, the
 * longest waiting of the queue that has most. What was sent and is not acknowledged stays: a client may have it, and the packet id of a message of QoS 2
 * is what keeps it from counting twice.
 */
export class QueueBounds {
  readonly #parts: Parts;
  readonly #queues = new Map<string, QueueLedger>();
  /** Keys of messages that were stored when the gateway had another id, by client and number. */
  readonly #foreign = new Map<string, string>();
  /** The queue that was read last. */
  #loading: { readonly prefix: string; readonly client: string; readonly isForeign: boolean } | undefined;
  #messages = 0;
  #bytes = 0;
  #keepsUp: (client: string) => boolean = () => false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** In all queues. */
  get usage(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  /** Those who have anything in a queue. */
  get clients(): readonly string[] {
    return [...this.#queues.keys()];
  }

  /** In the queue of one client's session, with what was sent and is not acknowledged. */
  usageOf(client: string): { readonly messages: number; readonly bytes: number } {
    const { messages = 0, bytes = 0 } = this.#queues.get(client) ?? {};
    return { messages, bytes };
  }

  /** To be told whether a client gets messages as they come: what is written for it does not wait, and nothing of it is dropped. */
  spare(keepsUp: (client: string) => boolean): void {
    this.#keepsUp = keepsUp;
  }

  /** Counts a message that was found on disk. */
  load(key: string, value: Uint8Array): void {
    const end = key.lastIndexOf(":") + 1;
    const number = Number(key.slice(end));
    if (this.#loading === undefined || end !== this.#loading.prefix.length || !key.startsWith(this.#loading.prefix)) {
      const [, name = "", gateway] = key.split(":");
      this.#loading = { prefix: key.slice(0, end), client: decodeURIComponent(name), isForeign: gateway !== this.#parts.gateway };
    }
    const { client, isForeign } = this.#loading;
    const bytes = entryBytes(key, value);
    this.#queue(client).add(number, bytes);
    this.#messages++;
    this.#bytes += bytes;
    if (isForeign) this.#foreign.set(`${number} ${client}`, key);
  }

  /** What has to go because there is more than there may be, as after a start with lower bounds. */
  trim(): readonly SessionWrite[] {
    const removed: SessionWrite[] = [];
    for (const [client, queue] of this.#queues) this.#shorten(client, queue, removed);
    this.#relieve(removed);
    return removed;
  }

  /** Counts a message that is being written into a queue. Answers with what goes for it, which may be itself. */
  add(client: string, number: number, bytes: number): readonly SessionWrite[] {
    const { limits } = this.#parts;
    const queue = this.#queue(client);
    this.#change(queue, () => queue.add(number, bytes));
    const isOver = this.#reason(queue) !== undefined;
    if (!isOver && this.#bytes <= limits.totalBytesMax) return NOTHING;
    const removed: SessionWrite[] = [];
    if (isOver && !this.#keepsUp(client)) {
      // Nothing that is older makes room for one that has none.
      if (bytes > limits.bytesMax) removed.push(this.#drop(client, queue, number, "queue-bytes"));
      this.#shorten(client, queue, removed);
    }
    this.#relieve(removed);
    return removed;
  }

  /** The message has a packet id, and its client may have it. `bytes` when what is kept of it has changed. */
  sent(client: string, number: number, bytes?: number): void {
    const queue = this.#queues.get(client);
    if (queue !== undefined) this.#change(queue, () => queue.send(number, bytes));
  }

  removed(client: string, number: number): void {
    const queue = this.#queues.get(client);
    if (queue === undefined) return;
    this.#change(queue, () => queue.remove(number));
    if (this.#foreign.size > 0) this.#foreign.delete(`${number} ${client}`);
  }

  /** Whether the message was dropped, although it may still be in memory. */
  isGone(client: string, number: number): boolean {
    return this.#queues.get(client)?.isGone(number) === true;
  }

  /** The queue is empty: its session has ended. */
  clear(client: string): void {
    const queue = this.#queues.get(client);
    if (queue === undefined) return;
    this.#messages -= queue.messages;
    this.#bytes -= queue.bytes;
    this.#queues.delete(client);
    for (const place of this.#foreign.keys()) if (place.endsWith(` ${client}`)) this.#foreign.delete(place);
  }

  #queue(client: string): QueueLedger {
    let queue = this.#queues.get(client);
    if (queue === undefined) this.#queues.set(client, (queue = new QueueLedger()));
    return queue;
  }

  #change(queue: QueueLedger, change: (queue: QueueLedger) => void): void {
    const { messages, bytes } = queue;
    change(queue);
    this.#messages += queue.messages - messages;
    this.#bytes += queue.bytes - bytes;
  }

  #reason(queue: QueueLedger): BrokerDropReason | undefined {
    const { messagesMax, bytesMax } = this.#parts.limits;
    if (queue.waiting > messagesMax) return "queue-messages";
    return queue.waitingBytes > bytesMax ? "queue-bytes" : undefined;
  }

  #shorten(client: string, queue: QueueLedger, removed: SessionWrite[]): void {
    for (;;) {
      const reason = this.#reason(queue);
      const number = reason === undefined ? undefined : queue.oldest();
      if (reason === undefined || number === undefined) return;
      removed.push(this.#drop(client, queue, number, reason));
    }
  }

  #relieve(removed: SessionWrite[]): void {
    const { totalBytesMax } = this.#parts.limits;
    if (this.#bytes <= totalBytesMax) return;
    const goal = totalBytesMax * (1 - RELIEF);
    while (this.#bytes > goal) {
      const [client, queue] = this.#longest() ?? [];
      if (client === undefined || queue === undefined) return;
      // Others may have more then.
      const half = queue.waitingBytes / 2;
      while (this.#bytes > goal && queue.waitingBytes > half) {
        const number = queue.oldest();
        if (number === undefined) break;
        removed.push(this.#drop(client, queue, number, "queues-bytes"));
      }
    }
  }

  /** The queue in which most bytes wait, of a client that does not keep up. */
  #longest(): [string, QueueLedger] | undefined {
    let found: [string, QueueLedger] | undefined;
    for (const entry of this.#queues) if (entry[1].waitingBytes > (found?.[1].waitingBytes ?? 0) && !this.#keepsUp(entry[0])) found = entry;
    return found;
  }

  #drop(client: string, queue: QueueLedger, number: number, reason: BrokerDropReason): SessionWrite {
    const { gateway } = this.#parts;
    const foreign = this.#foreign.size > 0 ? this.#foreign.get(`${number} ${client}`) : undefined;
    const key = foreign ?? queueKey(client, gateway, number);
    if (foreign !== undefined) this.#foreign.delete(`${number} ${client}`);
    this.#change(queue, () => queue.drop(number));
    this.#parts.dropped(reason, client);
    return { type: "del", key };
  }
}
