import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { silentLogger } from "../../../src/core/log.ts";
import type { JournaledMessage } from "../../../src/core/message.ts";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";
import { Feed } from "../../../src/runtime/feed.ts";
import type { Item } from "../../../src/runtime/item.ts";
import type { Route } from "../../../src/runtime/route.ts";

type Step =
  | { readonly do: "arrive"; readonly key: number }
  | { readonly do: "settle" | "set aside"; readonly pick: number }
  | { readonly do: "go on"; readonly key: number }
  | { readonly do: "write cursor" }
  | { readonly do: "restart" };

const keys = fc.integer({ min: 0, max: 2 });
const picks = fc.nat(20);
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: keys.map((key): Step => ({ do: "arrive", key })) },
    { weight: 4, arbitrary: picks.map((pick): Step => ({ do: "settle", pick })) },
    { weight: 2, arbitrary: picks.map((pick): Step => ({ do: "set aside", pick })) },
    { weight: 2, arbitrary: keys.map((key): Step => ({ do: "go on", key })) },
    { weight: 1, arbitrary: fc.constant<Step>({ do: "write cursor" }) },
    { weight: 1, arbitrary: fc.constant<Step>({ do: "restart" }) },
  ),
  { maxLength: 120 },
);

/** A function that takes what its feed offers, and settles it when it is told to. Topics are keys. */
class World {
  readonly messages: JournaledMessage[] = [];
  readonly settled = new Set<number>();
  open: Item[] = [];
  cursor = new Cursor(1);
  feed = this.#start();

  #start(): Feed {
    this.open = [];
    const feed = new Feed({
      name: "f",
      routing: "r",
      strict: true,
      pendingMax: 8,
      memory: new PendingBytes(600),
      journal: { read: async (from, max) => this.messages.filter(({ seq }) => seq >= from).slice(0, max) },
      logger: silentLogger,
      head: () => this.messages.length + 1,
      next: async (from) => from,
      writeCursor: () => this.check(),
      route: ({ topic }) => routeOf(topic),
      offer: (item) => this.open.push(item),
      pump: () => undefined,
      drops: () => false,
      missed: () => undefined,
    });
    feed.start(this.cursor);
    return feed;
  }

  async take(step: Step): Promise<void> {
    if (step.do === "arrive") {
      const message = { seq: this.messages.length + 1, topic: String(step.key), time: 0, hops: 0, record: new Uint8Array(10) };
      this.messages.push(message);
      this.feed.live(message, routeOf(message.topic));
    } else if (step.do === "go on") {
      this.feed.goOn(String(step.key));
    } else if (step.do === "write cursor") {
      this.feed.writeCursor();
    } else if (step.do === "restart") {
      this.feed.stop();
      const cursor = this.feed.handOver() ?? this.cursor;
      this.cursor = Cursor.decode(cursor.encode());
      this.feed = this.#start();
    } else {
      this.#pick(step.do, step.pick);
    }
    for (let i = 0; i < 10; i++) await Promise.resolve();
    this.check();
  }

  /** A lane settles the first of a key, and sets aside the last. */
  #pick(what: "settle" | "set aside", pick: number): void {
    const some = this.open[pick % Math.max(1, this.open.length)];
    if (some === undefined) return;
    const same = this.open.filter((item) => item.key === some.key).toSorted((a, b) => a.message.seq - b.message.seq);
    const item = what === "settle" ? same[0] : same.at(-1);
    if (item === undefined || (what === "set aside" && !this.feed.setAside(item))) return;
    this.open = this.open.filter((other) => other !== item);
    if (what === "set aside") return;
    if (this.settled.has(item.message.seq)) throw new Error(`${item.message.seq} is handled twice`);
    this.settled.add(item.message.seq);
    this.feed.settled(item);
    this.feed.refill();
  }

  /** What a crash at this moment would leave: nothing that is not settled may count as done. */
  check(): void {
    const cursor = this.feed.cursor ?? this.cursor;
    for (const { seq, topic } of this.messages) {
      const aside = cursor.aside.keys.get(topic);
      const done = cursor.isDone(seq) && (aside === undefined || seq < aside);
      if (done && !this.settled.has(seq)) throw new Error(`${seq} counts as done`);
    }
  }
}

function routeOf(topic: string): Route<unknown> {
  return { owner: undefined, index: 0, key: topic, keyBytes: Buffer.alloc(0), durable: true };
}

describe("a feed", () => {
  it("loses and repeats nothing, whatever is set aside, settled out of order, and stopped in between", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const world = new World();
        for (const step of list) await world.take(step);
        for (let round = 0; world.settled.size < world.messages.length && round < 1_000; round++) {
          await world.take({ do: "settle", pick: 0 });
          await world.take({ do: "go on", key: round % 3 });
        }
        expect([...world.settled].toSorted((a, b) => a - b)).toEqual(world.messages.map(({ seq }) => seq));
      }),
      { numRuns: 500 },
    );
  });
});
