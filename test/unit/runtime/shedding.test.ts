import { describe, expect, it } from "vitest";
import { encodeMessage, type JournaledMessage } from "../../../src/core/message.ts";
import type { Route } from "../../../src/runtime/route.ts";
import { type Pressure, Shedding } from "../../../src/runtime/shedding.ts";

const KEYS = 3;
const PAGE = 10;

function message(seq: number): JournaledMessage {
  const topic = `k${seq % KEYS}`;
  const record = encodeMessage({ topic, payload: Buffer.from("1"), qos: 1, retain: false, time: seq, source: "c", hops: 0 });
  return { seq, topic, time: seq, hops: 0, record };
}

/** A journal of 100 messages that is read page by page, when a test says so. */
class SlowJournal {
  readonly #messages = Array.from({ length: 100 }, (_, n) => message(n + 1));
  readonly #pages: (() => void)[] = [];
  /** Pages that were asked for. */
  asked = 0;

  async read(from: number): Promise<readonly JournaledMessage[]> {
    this.asked++;
    await new Promise<void>((resolve) => this.#pages.push(resolve));
    return this.#messages.filter(({ seq }) => seq >= from).slice(0, PAGE);
  }

  /** How many are waiting for a page. */
  get readers(): number {
    return this.#pages.length;
  }

  async turn(): Promise<void> {
    for (const go of this.#pages.splice(0)) go();
    for (let n = 0; n < 10; n++) await Promise.resolve();
  }
}

const route = ({ topic }: { topic: string }): Route<unknown> => ({
  owner: undefined,
  index: 0,
  key: topic,
  keyBytes: Buffer.from(topic),
  durable: true,
});

function keepLatest(): { journal: SlowJournal; shedding: Shedding } {
  const journal = new SlowJournal();
  return { journal, shedding: new Shedding({ overflow: "keep-latest", journal, head: () => 101, route }) };
}

const over = (floor: number): Pressure => ({ over: true, floor });

describe("a function that keeps the latest messages while the journal is full", () => {
  it("reads the journal once at a time, however often the floor moves meanwhile, and drops all but the newest of each key", async () => {
    const { journal, shedding } = keepLatest();
    const told = [shedding.update(over(10), 1)];
    for (let page = 0; page < 10; page++) {
      told.push(shedding.update(over(20 + page), 1));
      expect(journal.readers).toBeLessThanOrEqual(1);
      await journal.turn();
    }
    expect((await Promise.all(told)).filter(Boolean)).toHaveLength(1);
    const kept = Array.from({ length: 100 }, (_, n) => message(n + 1)).filter((one) => !shedding.isStale(one, one.topic));
    expect(kept.map(({ seq }) => seq)).toEqual([98, 99, 100]);
    const again = shedding.update(over(40), 1);
    for (let page = 0; page < 11; page++) await journal.turn();
    expect(await again).toBe(true);
  });

  it("looks again when there was room in between", async () => {
    const { journal, shedding } = keepLatest();
    const first = shedding.update(over(10), 1);
    await journal.turn();
    await shedding.update({ over: false }, 1);
    const second = shedding.update(over(10), 1);
    for (let page = 0; page < 12; page++) await journal.turn();
    expect([await first, await second]).toContain(true);
    expect(shedding.isStale(message(97), message(97).topic)).toBe(true);
  });

  it("stops reading when there is room again, and drops nothing", async () => {
    const { journal, shedding } = keepLatest();
    const told = shedding.update(over(10), 1);
    await journal.turn();
    await shedding.update({ over: false }, 1);
    const { asked } = journal;
    for (let page = 0; page < 11; page++) await journal.turn();
    expect(await told).toBe(false);
    expect(journal.asked).toBe(asked);
    expect(shedding.drops).toBe(false);
  });
});
