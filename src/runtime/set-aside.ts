import { hash } from "node:crypto";
import type { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import type { JournaledMessage } from "../core/message.ts";
import { keyOf, type Route, type Routed } from "./route.ts";
import { Tail, type TailJournal } from "./tail.ts";

/** Keys that may be set aside at a time, and what they may add to the cursor. */
const ASIDE_KEYS_MAX = 256;
const ASIDE_BYTES_MAX = 16 * 1024;
const READ_MESSAGES = 1024;

export interface SetAsideOwner {
  readonly name: string;
  /** What gives a message its key, as text: what was set aside under another one cannot be found by key. */
  readonly routing: string;
  /** Whether messages of one key are settled in order. */
  readonly strict: boolean;
  /** Its reads reject only when the function stops. */
  readonly journal: TailJournal;
  readonly logger: Logger;
  /** Seq after the newest message that came in. */
  head(): number;
  route(message: Routed): Route<unknown> | undefined;
  pump(): void;
  /** Whether the message is dropped, because the journal is full; it is counted then. */
  drops(message: JournaledMessage, key: string): boolean;
  /** Volatile messages came by while nobody could take them. */
  missed(count: number): void;
}

interface FeedSide {
  /** Everything below has been offered or set aside. */
  position(): number;
  /** Nothing more is to be offered for now; `refill` follows when that has changed. */
  full(): boolean;
  offer(message: JournaledMessage, route: Route<unknown>): void;
}

/** What a version with other triggers or another key has set aside. */
interface Former {
  readonly keyOf: (message: Routed) => string | undefined;
  /** Nothing from here on was brought to it. */
  readonly end: number;
}

const NO_KEYS: ReadonlyMap<string, number> = new Map();

/**
 * The keys whose messages are not kept in memory because an earlier one waits for its retry. They stay in the journal; the cursor remembers where
 * each key has to go on. When it goes on, its messages are read beside those of the other keys until it has met them. What a version with
 * other triggers or another key has set aside is brought by the feed, in order, as it comes to it.
 */
export class SetAside {
  readonly #owner: SetAsideOwner;
  readonly #feed: FeedSide;
  readonly #tail: Tail;
  /** Keys that go on. */
  readonly #free = new Set<string>();
  /** Where keys were set aside by an earlier run. Nothing of them was done from there on, whatever order was kept. */
  readonly #untouched = new Map<string, number>();
  #cursor: Cursor | undefined;
  #former: Former | undefined;
  #reading = false;
  #bytes = 0;
  #until = 0;
  /** Messages that are waiting here, as far as they were counted: after a start only those that were met. */
  #messages = 0;

  constructor(owner: SetAsideOwner, feed: FeedSide) {
    this.#owner = owner;
    this.#feed = feed;
    this.#tail = new Tail(
      owner.journal,
      () => owner.head(),
      () => undefined, // Volatile messages are the feed's to count.
    );
  }

  /** Takes up what an earlier run left, once the feed has passed everything that run had come to. Returns where the feed has to begin. */
  start(cursor: Cursor): number {
    const { routing, keys } = cursor.aside;
    this.#cursor = cursor;
    cursor.keepOrder(orderOf(this.#owner));
    this.#until = cursor.end;
    if (keys.size > 0 && routing !== this.#owner.routing) {
      this.#former = { keyOf: keyOf(routing), end: cursor.end };
      return cursor.floor;
    }
    for (const [key, seq] of keys) {
      this.#bytes += Buffer.byteLength(key);
      this.#free.add(key);
      this.#untouched.set(key, seq);
    }
    return cursor.front;
  }

  /** Touches the cursor no more, whatever a read that is under way brings: it belongs to the next version. */
  stop(): void {
    this.#cursor = undefined;
    this.#free.clear();
  }

  /** A message was left out, which others of its key before it need not be. */
  orderBroken(): void {
    this.#untouched.clear();
  }

  /** How many messages are waiting; at least one as long as there is a key. */
  get count(): number {
    return Math.max(this.#messages, this.#cursor?.aside.keys.size ?? 0);
  }

  /** The feed has come to this message. If a version with other keys has set it aside, it is not done. */
  takeBack(message: JournaledMessage): void {
    const { seq } = message;
    const cursor = this.#cursor;
    if (this.#former === undefined || cursor === undefined || seq >= this.#former.end) return;
    const key = this.#former.keyOf(message);
    const { routing, keys } = cursor.aside;
    if (key === undefined || seq < (keys.get(key) ?? Infinity)) return;
    cursor.setAside(key, seq + 1, routing);
    cursor.reopen(seq);
  }

  /** Whether the feed has to come to messages of a version with other keys. */
  get hasFormer(): boolean {
    return this.#former !== undefined;
  }

  /** The feed has come to everything below `position`. */
  passed(position: number): void {
    const cursor = this.#cursor;
    if (this.#former === undefined || cursor === undefined) return;
    const { routing, keys } = cursor.aside;
    const all = position >= this.#former.end;
    for (const [key, seq] of keys) {
      if (all) cursor.release(key);
      else if (seq < position) cursor.setAside(key, position, routing);
    }
    if (all) this.#former = undefined;
  }

  announce(message: JournaledMessage): void {
    if (this.#reading && message.volatile !== true) this.#tail.announce(message);
  }

  /** Whether a message that the feed came to joins others of its key here. A volatile one cannot. */
  take(message: JournaledMessage, key: string): boolean {
    const keys = this.#keys;
    if (keys.size === 0) return false;
    const from = keys.get(key);
    if (from === undefined || message.seq < from) return false;
    if (message.volatile === true) this.#owner.missed(1);
    else this.#messages++;
    return true;
  }

  /**
   * Sets the key aside from `seq` on. False when there are too many, or when what follows may be done: what was set aside is handled again as
   * a whole.
   */
  add(key: string, seq: number): boolean {
    const cursor = this.#cursor;
    if (cursor === undefined || this.#former !== undefined) return false;
    const { keys } = cursor.aside;
    const known = keys.get(key);
    if (seq < Math.min(known ?? Infinity, cursor.orderedFrom, this.#untouched.get(key) ?? Infinity)) return false;
    const bytes = Buffer.byteLength(key);
    if (known === undefined && (keys.size >= ASIDE_KEYS_MAX || this.#bytes + bytes > ASIDE_BYTES_MAX)) return false;
    if (known === undefined) this.#bytes += bytes;
    this.#free.delete(key);
    this.#messages++;
    cursor.setAside(key, Math.min(known ?? Infinity, seq), this.#owner.routing);
    return true;
  }

  /** Keys of this version. */
  get #keys(): ReadonlyMap<string, number> {
    return this.#former === undefined ? (this.#cursor?.aside.keys ?? NO_KEYS) : NO_KEYS;
  }

  goOn(key: string): void {
    if (!this.#keys.has(key)) return;
    this.#free.add(key);
    this.refill();
  }

  refill(): void {
    if (this.#free.size > 0 && !this.#reading && this.#feed.position() >= this.#until) void this.#read();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      for (let from = this.#from(); from !== undefined && !this.#feed.full(); from = this.#from()) {
        await this.#tail.read(from, READ_MESSAGES, ({ messages, upTo }) => {
          // What the feed has not come to yet is brought by the feed.
          const reached = Math.min(upTo, this.#feed.position());
          const fresh = messages.filter((message) => message.seq < reached);
          if (this.#offer(fresh, from)) this.#advance(from, reached);
        });
        this.#owner.pump();
      }
    } catch (error) {
      if (this.#cursor !== undefined)
        this.#owner.logger.error({ function: this.#owner.name, error: messageOf(error) }, "what was set aside cannot be brought");
    } finally {
      this.#reading = false;
    }
  }

  /** The lowest seq at which a key goes on. */
  #from(): number | undefined {
    let from: number | undefined;
    for (const key of this.#free) from = Math.min(from ?? Infinity, this.#cursor?.aside.keys.get(key) ?? Infinity);
    return from;
  }

  /** Offers what was read from `from` on; false when the function is full. A key that was set aside anew meanwhile, lower than that, has to wait. */
  #offer(messages: readonly JournaledMessage[], from: number): boolean {
    const cursor = this.#cursor;
    for (const message of messages) {
      const route = this.#owner.route(message);
      if (cursor === undefined || route === undefined || !this.#free.has(route.key)) continue;
      const seq = cursor.aside.keys.get(route.key) ?? Infinity;
      if (seq < from || message.seq < seq) continue;
      if (this.#feed.full()) return false;
      cursor.setAside(route.key, message.seq + 1, this.#owner.routing);
      this.#messages = Math.max(0, this.#messages - 1);
      if (this.#owner.drops(message, route.key)) {
        cursor.breakOrder();
        this.orderBroken();
        continue;
      }
      cursor.reopen(message.seq);
      this.#feed.offer(message, route);
    }
    return true;
  }

  /** Everything from `from` up to `reached` is offered. A key that has met the feed is like all others again. */
  #advance(from: number, reached: number): void {
    const met = reached >= this.#feed.position();
    for (const key of this.#free) {
      const seq = this.#cursor?.aside.keys.get(key);
      if (seq === undefined || seq < from) continue;
      if (!met) {
        this.#cursor?.setAside(key, Math.max(seq, reached), this.#owner.routing);
        continue;
      }
      this.#cursor?.release(key);
      this.#free.delete(key);
      this.#untouched.delete(key);
      this.#bytes -= Buffer.byteLength(key);
    }
    if (this.#cursor?.aside.keys.size === 0) this.#messages = 0;
  }
}

/** Stands for the triggers and the key of a version that settles in order; 0 for one that does not. */
function orderOf({ routing, strict }: SetAsideOwner): number {
  return strict ? hash("sha256", routing, "buffer").readUIntBE(0, 6) : 0;
}
