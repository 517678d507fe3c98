import { z } from "zod";
import { codec } from "./codec.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { SessionWrite, SessionWrites } from "./session-writes.ts";

/** Packet ids by the numbers of what they stand for. */
export type SentIds = Map<number, number>;

const ENTRY_BYTES = 128;

/** What is read at once of a queue. */
const READ_BYTES = 1024 ** 2;

const place = z.object({ brokerId: z.string(), brokerCounter: z.number() });

const properties = z
  .record(z.string(), z.unknown())
  .transform((record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null)));

/** Earlier versions kept the packet id here too, and properties without a value. */
const entry = z.discriminatedUnion("cmd", [
  z.object({
    ...place.shape,
    cmd: z.literal("publish"),
    topic: z.string(),
    payload: z.instanceof(Uint8Array).transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    qos: z.number(),
    retain: z.boolean(),
    properties: properties.nullish().transform((value) => value ?? undefined),
    messageExpiry: z
      .number()
      .nullish()
      .transform((value) => value ?? undefined),
    messageId: z
      .number()
      .nullish()
      .transform((value) => value ?? undefined),
    /** The group that the message is from. */
    shared: z.string().optional(),
  }),
  z.object({ ...place.shape, cmd: z.literal("pubrel"), messageId: z.number() }),
]);

/** What is in a queue: a message, or the rest of one of QoS 2 that the client has. */
export type QueuedPacket = z.infer<typeof entry> & {
  readonly number: number;
  /** The key at which the one behind it begins. */
  readonly next: string;
};

/** Counts what is in the queues of all sessions. */
interface Ledger {
  sent(client: string, number: number, bytes?: number): void;
  removed(client: string, number: number): void;
  isGone(client: string, number: number): boolean;
}

export interface ShelfParts {
  readonly bounds: Ledger;
  readonly database: SessionDatabase;
  readonly writes: SessionWrites;
  readonly gateway: string;
}

/** What is on disk of one session's queue: messages by their numbers, and the packet ids of those that were sent. */
export class SessionShelf {
  /** Before every key of the queue. */
  readonly first: string;
  readonly #database: SessionDatabase;
  readonly #writes: SessionWrites;
  readonly #gateway: string;
  readonly #bounds: Ledger;
  readonly #client: string;
  readonly #name: string;
  readonly #prefix: string;
  /** Keys of what was stored when the gateway had another id. */
  readonly #others = new Map<number, string>();

  constructor(parts: ShelfParts, client: string) {
    this.#database = parts.database;
    this.#writes = parts.writes;
    this.#gateway = parts.gateway;
    this.#bounds = parts.bounds;
    this.#client = client;
    this.#name = encodeURIComponent(client);
    this.first = `outgoing:${this.#name}:`;
    this.#prefix = `${this.first}${parts.gateway}:`;
  }

  keyOf(number: number): string {
    return (this.#others.size > 0 ? this.#others.get(number) : undefined) ?? `${this.#prefix}${padded(number)}`;
  }

  async sentIds(): Promise<SentIds> {
    await this.#writes.flushed();
    const found: SentIds = new Map();
    const range = { gte: `outgoing-id:${this.#name}:`, lt: `outgoing-id:${this.#name};` };
    for await (const [key, value] of this.#database.iterator(range)) {
      found.set(place.parse(codec.decode(value)).brokerCounter, Number(key.slice(key.lastIndexOf(":") + 1)));
    }
    return found;
  }

  /** The next ones from a key on, with everything that was written before the call: at most so many, and none behind the one with which 1 MB is full. */
  async read(from: string, limit: number): Promise<{ readonly packets: readonly QueuedPacket[]; readonly isLast: boolean }> {
    await this.#writes.flushed();
    const range = { gte: from, lt: `outgoing:${this.#name};`, limit };
    await using iterator = this.#database.iterator({ ...range, highWaterMarkBytes: READ_BYTES });
    const found = await iterator.nextv(limit);
    let bytes = 0;
    const packets = found.map(([key, value]) => {
      bytes += key.length + value.length;
      const packet = entry.parse(codec.decode(value));
      const number = packet.brokerCounter;
      if (packet.brokerId !== this.#gateway) this.#others.set(number, key);
      return { ...packet, number, next: `${key}\0` };
    });
    // What is counted there are bytes of keys, not characters.
    return { packets, isLast: found.length < limit && bytes < READ_BYTES / 2 };
  }

  /** Notes that it is being sent with this packet id. */
  sent(number: number, id: number): Promise<void> {
    this.#bounds.sent(this.#client, number);
    const value = codec.encode({ brokerId: this.#gateway, brokerCounter: number });
    return this.#writes.write({ type: "put", key: this.#idKey(id), value });
  }

  /** Notes that the client has it and is to be sent PUBREL for it. */
  received(number: number, id: number): Promise<void> {
    const key = this.keyOf(number);
    const value = codec.encode({ cmd: "pubrel", messageId: id, brokerId: this.#gateway, brokerCounter: number });
    this.#bounds.sent(this.#client, number, entryBytes(key, value));
    return this.#writes.write({ type: "put", key, value });
  }

  /** Without a packet id it was never sent. */
  forget(number: number, id: number | undefined): void {
    void this.#writes.writeAll(this.removal(number, id));
  }

  /** The writes that do so, for whoever has others to write with them. It does not count any more. */
  removal(number: number, id: number | undefined): readonly SessionWrite[] {
    const key = this.keyOf(number);
    this.#bounds.removed(this.#client, number);
    this.#others.delete(number);
    return id === undefined
      ? [{ type: "del", key }]
      : [
          { type: "del", key },
          { type: "del", key: this.#idKey(id) },
        ];
  }

  /** Whether the message was dropped, so that it is not to be sent. */
  isGone(number: number): boolean {
    return this.#bounds.isGone(this.#client, number);
  }

  /** Nothing in the queue has this packet id. */
  forgetId(id: number): void {
    void this.#writes.write({ type: "del", key: this.#idKey(id) });
  }

  #idKey(id: number): string {
    return `outgoing-id:${this.#name}:${padded(id)}`;
  }
}

/** The key of a message in a session's queue. */
export function queueKey(client: string, brokerId: string, number: number): string {
  return `outgoing:${encodeURIComponent(client)}:${brokerId}:${padded(number)}`;
}

/** What a message in a queue counts for: also for its place in memory, and for what the database adds. */
export function entryBytes(key: string, value: Uint8Array): number {
  return key.length + value.length + ENTRY_BYTES;
}

/** With the width of the largest number there is, so that keys are in the order of numbers. */
export function padded(number: number): string {
  return String(number).padStart(16, "0");
}
