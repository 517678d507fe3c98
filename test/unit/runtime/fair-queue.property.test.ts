import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FairQueue, type FairTurns } from "../../../src/runtime/fair-queue.ts";

/** As much as a batch may take when nobody else is there. */
const ALONE_MS = 25;
const SLICE_MS = 2;
const UNDER_WAY_MAX = 2;
/** In a host at a time; of these so many long ones. */
const BATCHES_MAX = 8;
const LONG_MAX = 3;
const LONG_MS = 0.5;

/** A function with one instance, whose messages all take the same time. */
class Busy {
  waiting = 0;
  underWay = 0;
  usedMs = 0;
  handled = 0;
  /** Turns of others since it began to wait, by their name. */
  passedBy: Map<string, number> | undefined;
  readonly name: string;
  readonly msPerMessage: number;
  readonly turns: FairTurns;
  readonly #host: SimulatedHost;

  constructor(name: string, msPerMessage: number, host: SimulatedHost) {
    this.name = name;
    this.msPerMessage = msPerMessage;
    this.#host = host;
    this.turns = host.queue.join(name, { turn: () => this.pump() });
  }

  pump(): void {
    while (this.underWay < UNDER_WAY_MAX && this.waiting > 0) {
      const wantedMs = Math.min(256, this.waiting) * this.msPerMessage;
      const freeMs = this.turns.ask(wantedMs);
      if (freeMs === 0) {
        this.passedBy ??= new Map();
        return;
      }
      this.passedBy = undefined;
      const count = Math.min(this.waiting, 256, Math.max(1, Math.floor(Math.min(freeMs, ALONE_MS) / this.msPerMessage)));
      this.waiting -= count;
      this.underWay++;
      this.turns.begin(count * this.msPerMessage);
      this.#host.run(this, count);
    }
  }
}

/** Does one batch after another, in the order in which they come. */
class SimulatedHost {
  nowMs = 0;
  readonly queue = new FairQueue({ isOpen: true }, () => this.nowMs);
  readonly functions: Busy[] = [];
  readonly #batches: { readonly of: Busy; readonly count: number }[] = [];

  add(msPerMessage: number): Busy {
    const added = new Busy(`f${this.functions.length}`, msPerMessage, this);
    this.functions.push(added);
    return added;
  }

  run(of: Busy, count: number): void {
    this.#batches.push({ of, count });
    for (const { passedBy } of this.functions) passedBy?.set(of.name, (passedBy.get(of.name) ?? 0) + 1);
  }

  /** The oldest batch is done. */
  step(): void {
    const batch = this.#batches.shift();
    if (batch === undefined) return;
    const { of, count } = batch;
    const ms = count * of.msPerMessage;
    this.nowMs += ms;
    of.usedMs += ms;
    of.handled += count;
    of.underWay--;
    of.turns.end(ms);
    of.pump();
    this.queue.serve();
  }

  /** Whether somebody waits although there is room. */
  get isIdle(): boolean {
    const long = this.#batches.filter(({ of, count }) => of.msPerMessage * count > LONG_MS).length;
    return this.functions.some(({ passedBy, waiting, msPerMessage }) => {
      const isLong = Math.min(256, waiting) * msPerMessage > LONG_MS;
      return passedBy !== undefined && this.#batches.length < BATCHES_MAX && (!isLong || long < LONG_MAX);
    });
  }
}

const cost = fc.constantFrom(0.005, 0.05, 0.3, 1, 5, 20);
/** With these a batch is as long as a slice, so that all of them wait for one another. */
const sliceable = fc.constantFrom(0.01, 0.05, 0.3, 1, 2);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("functions with more work than a host can do", () => {
  it("get the same time of it, whatever their messages take", () => {
    fc.assert(
      fc.property(fc.array(sliceable, { minLength: 4, maxLength: 12 }), (costs) => {
        const host = new SimulatedHost();
        for (const ms of costs) host.add(ms).waiting = 1e9;
        for (const each of host.functions) each.pump();
        for (let n = 0; n < 4_000; n++) host.step();
        // A batch costs something beside what it computes, and the first ones are longer, because whoever began was alone.
        const shares = host.functions.map(({ usedMs, msPerMessage }) => ({ usedMs, slice: Math.max(SLICE_MS, msPerMessage) }));
        const times = shares.map(({ usedMs, slice }) => usedMs * (1 + 0.05 / slice));
        const slack = 2 * ALONE_MS + 4 * Math.max(...costs, SLICE_MS);
        expect(Math.max(...times) - Math.min(...times)).toBeLessThan(slack + Math.max(...times) * 0.05);
      }),
    );
  });
});

describe("a function that wants something", () => {
  it("is passed by others only a few times each, and never waits while there is room", () => {
    fc.assert(
      fc.property(
        fc.array(cost, { minLength: 2, maxLength: 12 }),
        fc.array(fc.record({ of: fc.nat(11), messages: fc.integer({ min: 1, max: 400 }) }), { minLength: 100, maxLength: 600 }),
        (costs, arrivals) => {
          const host = new SimulatedHost();
          for (const ms of costs) host.add(ms);
          for (const { of, messages } of arrivals) {
            const one = host.functions[of % costs.length];
            if (one !== undefined) one.waiting += messages;
            one?.pump();
            host.step();
            expect(host.isIdle).toBe(false);
            for (const { passedBy, msPerMessage } of host.functions) {
              // Who needs less time gets more turns for the same time.
              const most = Math.max(0, ...(passedBy?.values() ?? []));
              expect(most).toBeLessThan(8 + (4 * Math.max(SLICE_MS, msPerMessage)) / 0.05);
            }
          }
          for (let n = 0; n < 100_000 && host.functions.some(({ waiting }) => waiting > 0); n++) host.step();
          expect(host.functions.filter(({ waiting }) => waiting > 0)).toEqual([]);
        },
      ),
    );
  });

  it("and had nothing to do for long is served within one slice of each other", () => {
    const host = new SimulatedHost();
    for (let n = 0; n < 20; n++) host.add(1).waiting = 1e9;
    for (const each of host.functions) each.pump();
    for (let n = 0; n < 5_000; n++) host.step();
    const quiet = host.add(0.1);
    for (let n = 0; n < 50; n++) {
      quiet.waiting = 1;
      const before = host.functions.reduce((sum, { handled }) => sum + handled, 0) - quiet.handled;
      const target = quiet.handled + 1;
      quiet.pump();
      while (quiet.handled < target) host.step();
      const others = host.functions.reduce((sum, { handled }) => sum + handled, 0) - quiet.handled - before;
      // What the host has already: three long batches of a slice each.
      expect(others).toBeLessThanOrEqual(LONG_MAX * SLICE_MS);
      for (let more = 0; more < 100; more++) host.step();
    }
  });

  it("gains nothing by having wanted nothing for long", () => {
    const host = new SimulatedHost();
    const [first, second] = [host.add(1), host.add(1)];
    first.waiting = 1e9;
    first.pump();
    for (let n = 0; n < 1_000; n++) host.step();
    second.waiting = 1e9;
    second.pump();
    const before = first.usedMs;
    for (let n = 0; n < 1_000; n++) host.step();
    expect(Math.abs(first.usedMs - before - second.usedMs)).toBeLessThan(2 * ALONE_MS + 4 * SLICE_MS);
  });
});

describe("a function that is alone", () => {
  it("takes as much as it likes", () => {
    const host = new SimulatedHost();
    const alone = host.add(0.1);
    alone.waiting = 1e6;
    alone.pump();
    for (let n = 0; n < 100; n++) host.step();
    expect(alone.handled / 100).toBeGreaterThan(200);
  });
});

describe("a batch without an answer", () => {
  it("keeps others waiting for no more than a moment", () => {
    const host = new SimulatedHost();
    const queue = host.queue;
    const stuck = Array.from({ length: 20 }, (_, n) => queue.join(`stuck-${n}`, { turn: () => undefined }));
    for (const turns of stuck) if (turns.ask(0.1) > 0) turns.begin(0.1);
    let turn = 0;
    const waits = queue.join("waits", { turn: () => turn++ });
    expect(waits.ask(0.1)).toBe(0);
    host.nowMs += 10;
    vi.advanceTimersByTime(10);
    expect(turn).toBe(1);
    expect(waits.ask(0.1)).toBeGreaterThan(0);
  });

  it("counts no more when its instance is gone", () => {
    const { queue } = new SimulatedHost();
    const long = Array.from({ length: LONG_MAX }, (_, n) => queue.join(`long-${n}`, { turn: () => undefined }));
    for (const turns of long) {
      expect(turns.ask(2)).toBeGreaterThan(0);
      turns.begin(2);
    }
    let turn = 0;
    const waits = queue.join("waits", { turn: () => turn++ });
    expect(waits.ask(2)).toBe(0);
    long[1]?.part();
    queue.serve();
    expect(turn).toBe(1);
    expect(waits.ask(2)).toBeGreaterThan(0);
  });
});

describe("while more has been handled than is written", () => {
  it("nobody begins, and whoever has had least goes on first", () => {
    const gate = { isOpen: true };
    const queue = new FairQueue(gate, () => 0);
    const served: string[] = [];
    const [a, b] = ["a", "b"].map((name) => queue.join(name, { turn: () => void served.push(name) }));
    if (a === undefined || b === undefined) throw new Error("two have joined");
    a.begin(5);
    gate.isOpen = false;
    expect([a.ask(1), b.ask(1)]).toEqual([0, 0]);
    gate.isOpen = true;
    queue.serve();
    expect(served).toEqual(["b", "a"]);
  });
});
