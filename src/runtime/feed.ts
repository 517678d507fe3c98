import type { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { Item } from "./item.ts";
import type { PendingBytes } from "./pending-bytes.ts";
import type { Route } from "./route.ts";
import { SetAside, type SetAsideOwner } from "./set-aside.ts";
import { type Stretch, Tail } from "./tail.ts";

const READ_MESSAGES = 1024;
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/** While it reads, a function writes down how far it is at least that often. */
const WRITE_MESSAGES = 32_768;

/** What a feed needs of its function. */
export interface FeedOwner extends SetAsideOwner {
  /** Messages that may be in memory. */
  readonly pendingMax: number;
  /** What all functions hold in memory. */
  readonly memory: PendingBytes;
  offer(item: Item): void;
  /**
   * Where nothing comes before that concerns the function, from `from` on: there is no need to read what lies between. `looked` says now and then how far
   * that is known already.
   */
  next(from: number, looked: (upTo: number) => void): Promise<number>;
  /** Has the cursor written, unless what is on disk ends less than `least` before it. */
  writeCursor(cursor: Cursor, least: number): void;
}

/**
 * Brings a function its messages: as they come while it keeps up, from the journal while it does not. Messages of a key that has too many
 * waiting are set aside: they are read again when the key goes on.
 */
export class Feed {
  readonly #owner: FeedOwner;
  readonly #tail: Tail;
  readonly #aside: SetAside;
  #cursor: Cursor | undefined;
  /** Everything below has been offered, was set aside, or does not concern the function. */
  #position = 0;
  /** One after the last message that was offered. */
  #offered = 0;
  /** Whether new messages are taken as they come; otherwise they are read from the journal. */
  #live = false;
  #reading = false;
  /** Nothing of what was read last concerned the function. */
  #barren = false;
  #stopping = false;
  #pending = 0;
  #pendingBytes = 0;
  #pendingVolatile = 0;

  readonly #again = (): void => this.refill();

  constructor(owner: FeedOwner) {
    this.#owner = owner;
    this.#tail = new Tail(
      owner.journal,
      () => owner.head(),
      (count) => owner.missed(count),
    );
    this.#aside = new SetAside(owner, {
      position: () => this.#reached(),
      full: () => this.#stopping || this.#full(),
      offer: (message, route) => this.#enqueue(message, route, message.seq),
    });
  }

  /** Begins with the first message that the cursor does not call done. */
  start(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#position = this.#aside.start(cursor);
    this.#offered = this.#position;
    void this.#catchUp();
  }

  /** Offers nothing more. */
  stop(): void {
    this.#position = this.#reached();
    this.#live = false;
    this.#stopping = true;
    this.#aside.stop();
  }

  /** The cursor, after everything that was under way is settled. Whatever follows it is for the next version. */
  handOver(): Cursor | undefined {
    const cursor = this.#cursor;
    // What is left of these cannot be read by the next version.
    if (this.#pendingVolatile > 0) this.#owner.missed(this.#pendingVolatile);
    this.#pendingVolatile = 0;
    // What came by and did not concern this version is not left to the next one, which may have other triggers.
    this.#passTo(this.#position);
    this.#cursor = undefined;
    this.#count(-this.#pendingBytes);
    return cursor;
  }

  get cursor(): Cursor | undefined {
    return this.#cursor;
  }
  /** Messages below this seq are done with. */
  get floor(): number {
    const cursor = this.#cursor;
    if (cursor === undefined) return 0;
    if (cursor.aside.keys.size > 0 || cursor.front < this.#offered) return cursor.floor;
    return Math.max(cursor.front, this.#reached());
  }
  get backlog(): number {
    return this.#pending + this.#aside.count + (this.#live ? 0 : Math.max(0, this.#owner.head() - this.#position));
  }

  /** A message that has just come in. Those that come while the function is behind are read from the journal later. */
  live(message: JournaledMessage, route: Route<unknown>): void {
    this.#aside.announce(message);
    if (!this.#live || message.seq < this.#position) {
      if (!this.#tail.announce(message) && message.volatile === true) this.#owner.missed(1);
      return;
    }
    if (!this.#full()) {
      this.#offer(message, route);
      this.#position = message.seq + 1;
    } else if (message.volatile === true) {
      this.#owner.missed(1);
    } else {
      this.#live = false;
      this.#position = message.seq;
    }
  }

  /** The item is done with; its part of the cursor is complete. */
  settled(item: Item): void {
    this.#leave(item);
  }

  /** The item is left out, which others of its key before it need not be. */
  dropped(item: Item): void {
    this.#leave(item);
    this.#breakOrder();
  }

  #breakOrder(): void {
    this.#cursor?.breakOrder();
    this.#aside.orderBroken();
  }

  /** Takes an item of a key that waits out of memory; false when no more keys can be set aside. A volatile one cannot be read again and is lost. */
  setAside(item: Item): boolean {
    const cursor = this.#cursor;
    if (cursor === undefined) return false;
    if (item.message.volatile === true) this.#owner.missed(1);
    else if (!this.#aside.add(item.key, item.message.seq)) return false;
    this.#leave(item);
    this.refill();
    return true;
  }

  /** Some items of the key are done with, so those that were set aside come back. */
  goOn(key: string): void {
    this.#aside.goOn(key);
  }

  /** Reads on where that had to wait, once there is room. */
  refill(): void {
    // Reads bring many messages at once, so there has to be room for many.
    if (this.#pending >= this.#owner.pendingMax / 2 || this.#pendingBytes >= PENDING_BYTES_MAX / 2 || this.#full()) return;
    if (!this.#live) void this.#catchUp();
    this.#aside.refill();
  }

  /** What came by and does not concern the function counts as done, and is not looked through again after a crash. Not in the middle of an arrival. */
  writeCursor(least = 1): void {
    if (this.#cursor === undefined) return;
    this.#passTo(this.#reached());
    this.#owner.writeCursor(this.#cursor, least);
  }

  #reached(): number {
    return this.#live ? this.#owner.head() : this.#position;
  }

  #full(): boolean {
    if (this.#pending >= this.#owner.pendingMax || this.#pendingBytes >= PENDING_BYTES_MAX) return true;
    return this.#owner.memory.isEnough(this.#pendingBytes, this.#again);
  }

  #leave(item: Item): void {
    this.#pending--;
    this.#count(-item.message.record.length);
    if (item.message.volatile === true) this.#pendingVolatile--;
    this.#cursor?.complete(item.start, item.message.seq + 1);
  }

  #count(bytes: number): void {
    this.#pendingBytes += bytes;
    this.#owner.memory.add(bytes);
  }

  #offer(message: JournaledMessage, route: Route<unknown>): void {
    const aside = this.#aside.take(message, route.key);
    if (aside || this.#owner.drops(message, route.key)) {
      this.#passTo(message.seq + 1);
      if (!aside) this.#breakOrder();
      return;
    }
    const start = this.#offered;
    this.#offered = message.seq + 1;
    this.#enqueue(message, route, start);
  }

  /**
   * Completes what the cursor need not wait for, at once: a message that is set aside may be reopened, and must not be completed with the next
   * message that is offered.
   */
  #passTo(end: number): void {
    if (end <= this.#offered) return;
    this.#cursor?.complete(this.#offered, end);
    this.#offered = end;
  }

  #enqueue(message: JournaledMessage, { index: trigger, key, keyBytes, missing }: Route<unknown>, start: number): void {
    this.#pending++;
    this.#count(message.record.length);
    if (message.volatile === true) this.#pendingVolatile++;
    this.#owner.offer({
      message,
      start,
      trigger,
      key,
      keyBytes,
      attempt: 1,
      resume: false,
      suspect: false,
      trial: "none",
      trace: undefined,
      sentAt: 0,
      giveUp: "for good",
      ...(missing === undefined ? {} : { missing }),
    });
  }

  /** Reads on from the position until the function is full or has met the newest message. */
  async #catchUp(): Promise<void> {
    if (this.#reading || this.#live) return;
    this.#reading = true;
    try {
      while (this.#cursor !== undefined && !this.#stopping && !this.#live && !this.#full()) {
        this.#skip(this.#cursor);
        if (this.#barren && !this.#aside.hasFormer) await this.#seek();
        else await this.#tail.read(this.#position, READ_MESSAGES, (stretch) => this.#take(stretch));
        this.writeCursor(this.#live ? 1 : WRITE_MESSAGES);
        this.#owner.pump();
        this.#aside.refill();
      }
    } catch (error) {
      if (!this.#stopping) this.#owner.logger.error({ function: this.#owner.name, error: messageOf(error) }, "messages cannot be brought");
    } finally {
      this.#reading = false;
    }
  }

  /** Goes on behind what is done already, which may be much where one message has been waiting for long. */
  #skip(cursor: Cursor): void {
    const open = this.#aside.hasFormer ? 0 : cursor.openFrom(this.#position);
    if (open <= this.#position) return;
    this.#position = open;
    this.#passTo(open);
  }

  /** Goes on where the next message is, which others may have to look for, too. */
  async #seek(): Promise<void> {
    const next = await this.#owner.next(this.#position, (upTo) => {
      this.#looked(upTo);
      this.writeCursor();
    });
    this.#barren = false;
    this.#looked(next);
  }

  #looked(upTo: number): void {
    if (this.#cursor !== undefined && !this.#stopping && !this.#live) this.#position = Math.max(this.#position, upTo);
  }

  #take({ messages, upTo, end }: Stretch): void {
    const cursor = this.#cursor;
    if (this.#stopping || cursor === undefined) return this.#miss(messages);
    this.#barren = messages.length > 0;
    const taken = messages.findIndex((message) => !this.#takeOne(message, cursor));
    if (taken === -1) this.#position = Math.max(this.#position, upTo);
    else this.#miss(messages.slice(taken));
    this.#aside.passed(this.#position);
    this.#live = taken === -1 && end;
  }

  /** False when the function is full. */
  #takeOne(message: JournaledMessage, cursor: Cursor): boolean {
    if (this.#full()) return false;
    this.#aside.takeBack(message);
    const done = cursor.isDone(message.seq);
    const route = done ? undefined : this.#owner.route(message);
    if (route !== undefined) this.#barren = false;
    if (route !== undefined) this.#offer(message, route);
    else if (done) this.#passTo(message.seq + 1);
    this.#position = Math.max(this.#position, message.seq + 1);
    return true;
  }

  /** Nobody takes these, and those of them that are volatile do not come again. */
  #miss(messages: readonly JournaledMessage[]): void {
    const lost = messages.filter(({ volatile }) => volatile === true).length;
    if (lost > 0) this.#owner.missed(lost);
  }
}
