import { pino } from "pino";
import { Cursor } from "../../../src/core/cursor.ts";
import type { JournaledMessage } from "../../../src/core/message.ts";
import { parseTopicFilter } from "../../../src/core/topic.ts";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";
import { Feed } from "../../../src/runtime/feed.ts";
import type { Item } from "../../../src/runtime/item.ts";
import { keyOf, type Route, RouteTable, routingOf } from "../../../src/runtime/route.ts";

/** How a version takes its messages. */
export interface Version {
  readonly filters: readonly string[];
  readonly key?: string;
  readonly strict: boolean;
}

interface Read {
  readonly from: number;
  readonly max: number;
  answer(messages: readonly JournaledMessage[]): void;
}

/** What a crash leaves. */
interface Stored {
  readonly cursor: Buffer;
  readonly settled: ReadonlySet<number>;
}

/** Enough turns for everything that does not wait for the journal. */
const TURNS = 12;
/** Far less than a feed asks for, so that there are many reads. */
const READ_MESSAGES = 5;

/**
 * A function whose versions take what their feeds offer, and settle it when they are told to. Reads of the journal are answered when the test
 * says so. What is settled and the cursor are stored together, as in a commit. Whatever a feed must never do is thrown by `turns`.
 */
export class FeedWorld {
  readonly messages: JournaledMessage[] = [];
  readonly volatile = { arrived: 0, settled: 0, missed: 0 };
  reads: Read[] = [];
  /** Also what was dropped. */
  settled = new Set<number>();
  open: Item[] = [];
  feed: Feed;
  /** Messages that every version since their arrival had to handle. */
  readonly wanted = new Set<number>();
  #version: Version;
  #route: RouteOf = () => undefined;
  #phase: "running" | "stopped" | "between" = "running";
  #head = 1;
  #cursor = new Cursor(1);
  #stored: Stored = { cursor: this.#cursor.encode(), settled: new Set() };
  /** The highest seq of each key that this version has settled since it began. */
  readonly #reached = new Map<string, number>();

  #below = 0;
  readonly #wrong: string[] = [];

  constructor(version: Version) {
    this.#version = version;
    this.feed = this.#start();
  }

  #start(): Feed {
    const { filters, key, strict } = this.#version;
    const route = routeOf(this.#version);
    this.#route = route;
    for (const { seq, topic } of this.messages) if (!this.settled.has(seq) && route(topic) === undefined) this.wanted.delete(seq);
    this.open = [];
    this.#reached.clear();
    this.#phase = "running";
    const feed: Feed = new Feed({
      name: "f",
      routing: routingOf(filters.map(parseTopicFilter), key),
      strict,
      pendingMax: 8,
      memory: new PendingBytes(600),
      journal: { read: (from, max) => new Promise((answer) => this.reads.push({ from, max, answer })) },
      logger: pino({}, { write: (line) => void this.#wrong.push(line) }),
      head: () => this.#head,
      writeCursor: () => this.commit(),
      next: async (from, looked) => {
        const found = this.messages.find(({ seq, topic }) => seq >= from && seq < this.#head && route(topic) !== undefined);
        const next = found?.seq ?? Math.max(from, this.#head);
        looked(Math.floor((from + next) / 2));
        return next;
      },
      route: ({ topic }) => (this.feed === feed ? route(topic) : undefined),
      offer: (item) => this.#offered(feed, item),
      pump: () => undefined,
      drops: (message) => this.#drops(message),
      missed: (count) => void (this.volatile.missed += count),
    });
    this.feed = feed;
    feed.start(this.#cursor);
    return feed;
  }

  #offered(feed: Feed, item: Item): void {
    const { seq } = item.message;
    const again = this.settled.has(seq) || this.open.some(({ message }) => message.seq === seq);
    if (feed !== this.feed || this.#phase !== "running") this.#wrong.push(`${seq} is offered by a version that has stopped`);
    else if (again) this.#wrong.push(`${seq} is offered again`);
    this.open.push(item);
  }

  /** The journal is full: messages below `below` are dropped, those in memory by halves, because others are under way. Or it is not any more. */
  shed(below: number, pick: number): void {
    this.#below = below;
    if (this.#phase !== "running") return;
    const stale = this.open.filter(({ message }, index) => message.seq < below && message.volatile !== true && index % 2 === pick % 2);
    this.open = this.open.filter((item) => !stale.includes(item));
    for (const item of stale) {
      this.#drops(item.message);
      this.feed.dropped(item);
      this.feed.goOn(item.key);
    }
    this.feed.refill();
  }

  #drops({ seq, volatile }: JournaledMessage): boolean {
    if (seq >= this.#below || volatile === true) return false;
    if (this.settled.has(seq)) this.#wrong.push(`${seq} is dropped although it was handled or dropped`);
    this.settled.add(seq);
    return true;
  }

  arrive(topic: string, volatile: boolean): void {
    const seq = this.#head++;
    const record = new Uint8Array(10);
    const message: JournaledMessage = { seq, topic, time: 0, hops: 0, record, ...(volatile ? { volatile: true as const } : {}) };
    const route = this.#route(topic);
    if (!volatile) this.messages.push(message);
    if (route === undefined) return;
    if (volatile) this.volatile.arrived++;
    else this.wanted.add(seq);
    this.feed.live(message, route);
  }

  /** A read of the journal is answered with what is there now. */
  answer(pick: number): void {
    const [read] = this.reads.splice(pick % Math.max(1, this.reads.length), 1);
    read?.answer(this.messages.filter(({ seq }) => seq >= read.from).slice(0, Math.min(read.max, READ_MESSAGES)));
  }

  /** Any item; with strict order the first of its key. */
  settle(pick: number): void {
    if (this.#phase === "between") return;
    const [first, some] = this.#ofKey(pick);
    const item = this.#version.strict ? first : some;
    if (item === undefined) return;
    const { seq, volatile } = item.message;
    if (this.#version.strict) this.#checkOrder(item);
    this.open = this.open.filter((other) => other !== item);
    this.#reached.set(item.key, Math.max(seq, this.#reached.get(item.key) ?? 0));
    if (volatile === true) this.volatile.settled++;
    else this.settled.add(seq);
    this.feed.settled(item);
    this.feed.refill();
  }

  #checkOrder({ key, message }: Item): void {
    const before = this.messages.find(
      ({ seq, topic }) => seq < message.seq && this.wanted.has(seq) && !this.settled.has(seq) && this.#route(topic)?.key === key,
    );
    if (before !== undefined) this.#wrong.push(`${message.seq} overtakes ${before.seq}`);
  }

  /** The last of a key; none behind it was handled, because a lane sets aside what is new. */
  setAside(pick: number): void {
    const item = this.#ofKey(pick).at(-1);
    if (item === undefined || this.#phase !== "running" || item.message.seq < (this.#reached.get(item.key) ?? 0)) return;
    if (this.feed.setAside(item)) this.open = this.open.filter((other) => other !== item);
  }

  /** The first of the key of some item, that item, and the last. */
  #ofKey(pick: number): Item[] {
    const some = this.open[pick % Math.max(1, this.open.length)];
    const same = this.open.filter((item) => item.key === some?.key).toSorted((a, b) => a.message.seq - b.message.seq);
    return [same[0], some, same.at(-1)].filter((item) => item !== undefined);
  }

  goOn(pick: number): void {
    const keys = [...(this.feed.cursor?.aside.keys.keys() ?? [])];
    const key = keys[pick % Math.max(1, keys.length)];
    if (key !== undefined && this.#phase === "running") this.feed.goOn(key);
  }

  /** Something else, such as that much has come in, has the cursor written. */
  writeCursor(): void {
    this.feed.writeCursor();
  }

  /** What is settled so far reaches the disk. */
  commit(): void {
    const cursor = this.feed.cursor ?? this.#cursor;
    this.#stored = { cursor: cursor.encode(), settled: new Set(this.settled) };
    const old = cursor.aside.keys.size === 0 ? () => undefined : keyOf(cursor.aside.routing);
    for (const message of this.messages) {
      const { seq } = message;
      const aside = (cursor.aside.keys.get(old(message) ?? "") ?? Infinity) <= seq;
      if (this.wanted.has(seq) && !this.settled.has(seq) && cursor.isDone(seq) && !aside) this.#wrong.push(`${seq} counts as done`);
    }
  }

  stop(): void {
    if (this.#phase !== "running") return;
    this.#phase = "stopped";
    this.feed.stop();
  }

  handOver(): void {
    if (this.#phase !== "stopped") return;
    this.#cursor = this.feed.handOver() ?? this.#cursor;
    this.#phase = "between";
    this.commit();
  }

  /** Wherever the version before is, it finishes. */
  switchTo(version: Version): void {
    this.stop();
    this.handOver();
    this.#version = version;
    this.#start();
  }

  /** What is not on disk is gone. */
  crash(): void {
    this.stop();
    this.reads = [];
    this.#cursor = Cursor.decode(this.#stored.cursor);
    this.settled = new Set(this.#stored.settled);
    Object.assign(this.volatile, { arrived: 0, settled: 0, missed: 0 });
    this.#start();
  }

  /** Lets everything happen that does not wait for the journal. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
    if (this.#wrong.length > 0) throw new Error(this.#wrong.join(", "));
  }

  /** Everything that waits goes on until nothing is left, or `rounds` are over. */
  async finish(rounds: number): Promise<void> {
    if (this.#phase !== "running") this.switchTo(this.#version);
    for (let round = 0; round < rounds && (this.#unsettled() || this.open.length > 0 || this.reads.length > 0); round++) {
      this.answer(0);
      await this.turns();
      this.settle(0);
      this.goOn(round);
      await this.turns();
    }
  }

  #unsettled(): boolean {
    return [...this.wanted].some((seq) => !this.settled.has(seq));
  }
}

type RouteOf = (topic: string) => Route<unknown> | undefined;

function routeOf({ filters, key }: Version): RouteOf {
  const owner = {};
  const table = new RouteTable(filters.map((filter, index) => ({ owner, index, filter: parseTopicFilter(filter), key, durable: true })));
  return (topic) => table.match(topic)[0];
}
