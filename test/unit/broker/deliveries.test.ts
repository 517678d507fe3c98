import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Deliveries } from "../../../src/broker/deliveries.ts";

/** Subscribers that take what is published when the test says so. */
class Subscribers {
  readonly held = new Set<string>();
  readonly changes: string[] = [];
  /** What is on its way, by function. */
  readonly waiting: { readonly name: string; readonly records: number; readonly done: () => void }[] = [];
  delivered = 0;
  readonly deliveries = new Deliveries(
    { deliver: (records, done) => this.#take(records.length, done), secured: (done) => done() },
    (name, on) => {
      this.changes.push(`${name} ${on ? "waits" : "goes on"}`);
      if (on) this.held.add(name);
      else this.held.delete(name);
    },
  );
  #name = "";

  publish(name: string, records: number, bytes = 1): void {
    this.#name = name;
    this.deliveries.deliver(
      name,
      Array.from({ length: records }, () => new Uint8Array(bytes)),
      () => this.delivered++,
    );
  }

  #take(records: number, done: () => void): void {
    this.waiting.push({ name: this.#name, records, done });
  }

  /** The oldest of these. */
  finish(name: string, count = Infinity): void {
    for (let left = count; left > 0; left--) {
      const at = this.waiting.findIndex((one) => one.name === name);
      if (at < 0) return;
      this.waiting.splice(at, 1)[0]?.done();
    }
  }

  on(name: string): number {
    return this.waiting.filter((one) => one.name === name).reduce((sum, { records }) => sum + records, 0);
  }

  /** Publishes until the function is told to wait. */
  fill(name: string, records: number): void {
    for (let turn = 0; turn < 10_000 && !this.held.has(name); turn++) this.publish(name, records);
  }
}

describe("deliveries", () => {
  it("hold a function back while its subscribers are far behind, and let it go on when they have caught up", () => {
    const subscribers = new Subscribers();
    for (let i = 0; i < 50; i++) subscribers.publish("slow", 100);
    expect(subscribers.changes).toEqual(["slow waits"]);
    subscribers.finish("slow", 10);
    expect(subscribers.changes).toEqual(["slow waits"]);
    subscribers.finish("slow");
    expect(subscribers.changes).toEqual(["slow waits", "slow goes on"]);
    expect(subscribers.delivered).toBe(50);
  });

  it("leave the others alone", () => {
    const subscribers = new Subscribers();
    subscribers.fill("slow", 100);
    for (let i = 0; i < 1_000; i++) {
      subscribers.publish("quick", 100);
      subscribers.finish("quick");
    }
    expect(subscribers.changes).toEqual(["slow waits"]);
  });

  it("count large records as what they take", () => {
    const subscribers = new Subscribers();
    for (let i = 0; i < 15; i++) subscribers.publish("large", 1, 1024 ** 2);
    expect(subscribers.held).toEqual(new Set(["large"]));
  });

  it("leave something to a function however many others are held", () => {
    const subscribers = new Subscribers();
    for (let n = 0; n < 100; n++) subscribers.fill(`slow-${n}`, 1);
    expect(subscribers.waiting.length).toBeLessThan(16_384 + 100);
    subscribers.publish("quick", 10);
    subscribers.finish("quick");
    expect(subscribers.held.has("quick")).toBe(false);
  });

  it("are done when what sessions have got is on disk; functions do not wait for that", () => {
    const securing: (() => void)[] = [];
    const held: string[] = [];
    const outlet = {
      deliver: (_records: readonly Uint8Array[], done: () => void) => done(),
      secured: (done: () => void) => void securing.push(done),
    };
    const deliveries = new Deliveries(outlet, (name) => held.push(name));
    let done = 0;
    const records = Array.from({ length: 3_000 }, () => new Uint8Array(1));
    for (let i = 0; i < 10; i++) deliveries.deliver("f", records, () => done++);
    expect([done, held]).toEqual([0, []]);
    for (const secured of securing) secured();
    expect(done).toBe(10);
  });

  it("keep within their room when functions wait as they are told, and hold nobody of whom nothing is on its way", () => {
    const names = fc.constantFrom("a", "b", "c", "d");
    const step = fc.record({ name: names, records: fc.integer({ min: 1, max: 1_000 }), finishes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const subscribers = new Subscribers();
        for (const { name, records, finishes } of steps) {
          if (finishes) subscribers.finish(name, 1);
          else if (!subscribers.held.has(name)) subscribers.publish(name, records);
          expect(subscribers.waiting.reduce((sum, one) => sum + one.records, 0)).toBeLessThan(16_384 + 1_000);
          for (const held of subscribers.held) expect(subscribers.on(held)).toBeGreaterThan(0);
        }
        for (const name of ["a", "b", "c", "d"]) subscribers.finish(name);
        expect(subscribers.held.size).toBe(0);
      }),
    );
  });
});
