import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { JournaledMessage } from "../../../src/core/message.ts";
import { parseTopicFilter } from "../../../src/core/topic.ts";
import { Feed } from "../../../src/runtime/feed.ts";
import type { Item } from "../../../src/runtime/item.ts";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";
import { type Route, RouteTable } from "../../../src/runtime/route.ts";

const MEGABYTE = new Uint8Array(2 ** 20);
const COUNT = 200;
/** As much as the journal answers with at once. */
const READ = 8;

describe("a backlog of large messages", () => {
  it("is read little more than once, however slowly they are handled", async () => {
    const messages = Array.from({ length: COUNT }, (_, n): JournaledMessage => ({
      seq: n + 1,
      topic: "a",
      time: 0,
      hops: 0,
      record: MEGABYTE,
    }));
    const table = new RouteTable([{ owner: {}, index: 0, filter: parseTopicFilter("a"), key: undefined, durable: true }]);
    const route = ({ topic }: { topic: string }): Route<unknown> | undefined => table.match(topic)[0];
    const open: Item[] = [];
    let read = 0;
    let most = 0;
    const feed = new Feed({
      name: "f",
      routing: "",
      strict: true,
      pendingMax: 8_192,
      memory: new PendingBytes(128 * 2 ** 20),
      journal: {
        read: async (from) => {
          const found = messages.filter(({ seq }) => seq >= from).slice(0, READ);
          read += found.length;
          return found;
        },
      },
      logger: pino({ enabled: false }),
      head: () => COUNT + 1,
      next: async (from) => from,
      writeCursor: () => undefined,
      route,
      offer: (item) => void open.push(item),
      pump: () => undefined,
      drops: () => false,
      missed: () => undefined,
    });
    feed.start(new Cursor(1));
    for (let handled = 0; handled < COUNT;) {
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
      most = Math.max(most, open.length);
      const item = open.shift();
      if (item === undefined) throw new Error(`nothing comes after ${handled} messages`);
      expect(item.message.seq).toBe(++handled);
      feed.settled(item);
      feed.refill();
    }
    expect(read).toBeLessThan(COUNT * 2);
    expect(most).toBeLessThanOrEqual(16 + READ);
  });
});
