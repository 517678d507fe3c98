import { z } from "zod";
import type { BrokerDropReason } from "../../core/stored-stats.ts";
import { codec } from "../codec.ts";
import { entryBytes } from "../session-shelf.ts";
import type { SessionWrite, SessionWrites } from "../session-writes.ts";

/** Of retained messages, all together. */
export interface RetainedLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

/** What is used of a message that is to be retained. */
export interface RetainedPacket {
  readonly topic: string;
  readonly payload: { readonly length: number };
  readonly clientId?: string;
  readonly messageExpiry?: number;
}

interface Parts {
  readonly limits: RetainedLimits;
  readonly writes: Pick<SessionWrites, "write" | "writeAll">;
  dropped(reason: BrokerDropReason, about: { topic: string; client?: string }): void;
}

const SWEEP_MS = 5_000;

const PREFIX = "retained:";

/** Where retained messages are in the database. */
export const RETAINED = { gte: PREFIX, lt: "retained;" } as const;

const stored = z.object({ messageExpiry: z.number().nullish() });

/**
 * Keeps the newest retained message of each topic, within bounds: one for which there is no room is not kept. What was retained for its topic before goes
 * then too, because a value that is known to be old is worse for a new subscriber than none. What has expired is deleted.
 */
export class RetainedMessages {
  readonly #parts: Parts;
  /** By topic. */
  readonly #bytesOf = new Map<string, number>();
  /** When messages expire, in ms since 1970, by topic. */
  readonly #expiries = new Map<string, number>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get usage(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#bytesOf.size, bytes: this.#bytes };
  }

  /** Counts a message that was found on disk, also beyond the bounds. */
  load(key: string, value: Buffer): void {
    this.#note(key.slice(PREFIX.length), entryBytes(key, value), stored.parse(codec.decode(value)).messageExpiry ?? undefined);
  }

  /** Resolves when it is written; an empty one deletes. */
  store(packet: RetainedPacket): Promise<void> {
    return this.#parts.writes.write(this.#writeOf(packet));
  }

  /** Deletes what has expired, at most some seconds late. */
  async sweep(now: number = Date.now()): Promise<void> {
    const removed = [...this.#expiries].flatMap(([topic, expiry]) => (expiry <= now ? this.#remove(topic) : []));
    if (removed.length > 0) await this.#parts.writes.writeAll(removed);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #writeOf(packet: RetainedPacket): SessionWrite {
    const { topic, payload, clientId, messageExpiry } = packet;
    if (payload.length === 0) return this.#remove(topic);
    const key = PREFIX + topic;
    const value = codec.encode(packet);
    const bytes = entryBytes(key, value);
    const reason = this.#reason(this.#bytesOf.get(topic), bytes);
    if (reason !== undefined) {
      this.#parts.dropped(reason, { topic, ...(clientId === undefined ? {} : { client: clientId }) });
      return this.#remove(topic);
    }
    this.#note(topic, bytes, messageExpiry);
    return { type: "put", key, value };
  }

  /** Why there is no room. One that takes no more than what it replaces has room in any case. */
  #reason(before: number | undefined, bytes: number): BrokerDropReason | undefined {
    const { messagesMax, bytesMax } = this.#parts.limits;
    if (before === undefined && this.#bytesOf.size >= messagesMax) return "retained-messages";
    const more = bytes - (before ?? 0);
    return more > 0 && this.#bytes + more > bytesMax ? "retained-bytes" : undefined;
  }

  #note(topic: string, bytes: number, expiry: number | undefined): void {
    this.#bytes += bytes - (this.#bytesOf.get(topic) ?? 0);
    this.#bytesOf.set(topic, bytes);
    if (expiry === undefined) this.#expiries.delete(topic);
    else {
      this.#expiries.set(topic, expiry);
      this.#arm();
    }
  }

  #remove(topic: string): SessionWrite {
    this.#bytes -= this.#bytesOf.get(topic) ?? 0;
    this.#bytesOf.delete(topic);
    this.#expiries.delete(topic);
    return { type: "del", key: PREFIX + topic };
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.sweep().catch(() => undefined); // The database tells of a disk that refuses a write.
      if (this.#expiries.size > 0) this.#arm();
    }, SWEEP_MS).unref();
  }
}
