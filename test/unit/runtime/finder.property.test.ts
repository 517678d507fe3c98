import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JournaledMessage } from "../../../src/core/message.ts";
import { Finder } from "../../../src/runtime/finder.ts";

const OWNERS = 4;

/** Messages whose topic is the number of the one owner that they wake; reads come to an end when a test says so, and bring a few messages each. */
class World {
  readonly messages: JournaledMessage[] = [];
  readonly finder: Finder<number>;
  readonly wrong: string[] = [];
  readonly asked: { owner: number; from: number; end: number; found: number | undefined; looked: number }[] = [];
  reads = 0;
  readonly #pending: (() => void)[] = [];

  constructor(size: number) {
    this.finder = new Finder<number>({
      read: async (from) => {
        this.reads++;
        await new Promise<void>((resolve) => this.#pending.push(resolve));
        return this.messages.filter(({ seq }) => seq >= from).slice(0, size);
      },
      owners: (topic) => [{ owner: Number(topic) }],
      head: () => this.messages.length + 1,
    });
  }

  append(owner: number): void {
    this.messages.push({ seq: this.messages.length + 1, topic: String(owner), time: 0, hops: 0, record: Buffer.alloc(0) });
  }

  ask(owner: number, from: number): void {
    if (this.asked.some((one) => one.owner === owner && one.found === undefined)) return;
    const asked: World["asked"][number] = { owner, from, end: this.messages.length + 1, found: undefined, looked: from };
    this.asked.push(asked);
    void this.#find(asked);
  }

  async #find(asked: World["asked"][number]): Promise<void> {
    const { owner, from } = asked;
    asked.found = await this.finder.find(owner, from, (upTo) => {
      asked.looked = upTo;
      this.#check(asked, upTo);
    });
    this.#check(asked, asked.found);
  }

  /** Nothing may lie between, of what is there now. */
  #check({ owner, from }: Pick<World["asked"][number], "owner" | "from">, upTo: number): void {
    const passed = this.messages.find(({ seq, topic }) => seq >= from && seq < upTo && topic === String(owner));
    if (passed !== undefined) this.wrong.push(`${owner} from ${from} was sent to ${upTo}, past ${passed.seq}`);
  }

  async read(): Promise<void> {
    this.#pending.shift()?.();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant("append" as const), owner: fc.nat(OWNERS - 1) }),
  fc.record({ do: fc.constant("ask" as const), owner: fc.nat(OWNERS - 1), from: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constant("read" as const) }),
);

describe("functions that look for their next message together", () => {
  it("are sent to it, or to the end when there is none, and never past it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 120 }), async (size, steps) => {
        const world = new World(size);
        for (const one of steps) {
          if (one.do === "append") world.append(one.owner);
          else if (one.do === "ask") world.ask(one.owner, one.from);
          else await world.read();
        }
        for (let n = 0; n < 400; n++) await world.read();
        expect(world.wrong).toEqual([]);
        for (const { owner, from, end, found = -1 } of world.asked) {
          const first = world.messages.find(({ seq, topic }) => seq >= from && topic === String(owner))?.seq;
          expect(found).toBeGreaterThanOrEqual(Math.min(first ?? Infinity, Math.max(from, end)));
        }
      }),
    );
  });

  it("read the journal once", async () => {
    const world = new World(100);
    for (let n = 0; n < 1_000; n++) world.append(0);
    world.append(1);
    for (let owner = 1; owner <= 50; owner++) world.ask(owner, 1 + (owner % 7));
    for (let n = 0; n < 100; n++) await world.read();
    expect(world.asked[0]?.found).toBe(1_001);
    expect(world.asked.slice(1).map(({ found }) => found)).toEqual(Array.from({ length: 49 }, () => 1_002));
    expect(world.reads).toBeLessThan(13);
  });

  it("are told on the way how far has been looked", async () => {
    const world = new World(10);
    for (let n = 0; n < 100; n++) world.append(0);
    world.ask(1, 1);
    for (let n = 0; n < 9; n++) await world.read();
    expect(world.asked).toEqual([{ owner: 1, from: 1, end: 101, found: undefined, looked: 81 }]);
    for (let n = 0; n < 2; n++) await world.read();
    expect(world.asked[0]?.found).toBe(101);
  });

  it("read for themselves when it cannot be read", async () => {
    const finder = new Finder<number>({ read: () => Promise.reject(new Error("no")), owners: () => [], head: () => 10 });
    expect(await Promise.all([finder.find(1, 3, () => undefined), finder.find(2, 5, () => undefined)])).toEqual([3, 5]);
  });
});
