import { EventEmitter } from "node:events";
import { expect, it } from "vitest";
import type { Engine } from "../../../src/broker/engine.ts";
import { type SessionEnd, SessionEnds } from "../../../src/broker/session-ends.ts";
import { silentLogger } from "../../../src/core/log.ts";

/** An engine of which only what ends sessions is there. */
class Engineish extends EventEmitter {
  closed = false;
  readonly later: [string, number][] = [];

  endLater(id: string, seconds: number): void {
    this.later.push([id, seconds]);
  }

  endSession(id: string): void {
    this.emit("sessionExpired", { id });
  }

  come(id: string): object {
    const client = { id, version: 4, clean: false, sessionExpiryInterval: 0xff_ff_ff_ff };
    this.emit("client", client);
    return client;
  }

  leave(client: object): void {
    this.emit("clientDisconnect", client);
  }
}

async function begin(stored: readonly SessionEnd[], limits = { max: 2, ageSecondsMax: 100 }) {
  const engine = new Engineish();
  const coming = new Set<string>();
  const ended: string[] = [];
  const kept = new Map(stored.map((end) => [end.id, end]));
  const shelf = {
    storeEnd: async (end: SessionEnd): Promise<void> => void kept.set(end.id, end),
    deleteEnd: async (id: string): Promise<void> => void kept.delete(id),
    endSubscriptions: async (): Promise<void> => undefined,
    async *ends() {
      yield* stored;
    },
  };
  const ends = new SessionEnds(shelf, { limits, isComing: (id) => coming.has(id), ended: (id) => ended.push(id) }, silentLogger);
  await ends.follow(engine as unknown as Engine, 1_000_000);
  return { engine, coming, ended, kept, ends };
}

it("sessions that were left in an earlier process end in the order in which they were left, two for each that leaves", async () => {
  const since = [900_000, 700_000, 800_000, 600_000, 950_000];
  const { engine, ended, ends, kept } = await begin(since.map((at) => ({ id: `at ${at}`, seconds: 0xff_ff_ff_ff, since: at })));
  expect([ended, ends.away]).toEqual([[], 5]);
  engine.leave(engine.come("new"));
  expect([ended, ends.away]).toEqual([["at 600000", "at 700000"], 4]);
  engine.leave(engine.come("newer"));
  expect(ended.slice(2)).toEqual(["at 800000", "at 900000"]);
  engine.leave(engine.come("newest"));
  expect([ended.slice(4), ends.away]).toEqual([["at 950000", "new"], 2]);
  await ends.close();
  expect([...kept.keys()].toSorted()).toEqual(["newer", "newest"]);
});

it("one whose client is just connecting does not end, and one that is taken over ends no other", async () => {
  const { engine, coming, ended } = await begin([]);
  for (const id of ["a", "b"]) engine.leave(engine.come(id));
  coming.add("a");
  engine.leave(engine.come("c"));
  expect(ended).toEqual(["b"]);
  const taken = engine.come("d");
  coming.add("d");
  engine.leave(taken);
  expect(ended).toEqual(["b"]);
});

it("what was stored with a longer time than there may be gets what is left of the shorter one", async () => {
  const { engine } = await begin([
    { id: "never", seconds: 0xff_ff_ff_ff, since: 970_000 },
    { id: "short", seconds: 50, since: 970_000 },
    { id: "over", seconds: 5_000, since: 1_000 },
  ]);
  expect(Object.fromEntries(engine.later)).toEqual({ over: 0.001, never: 70, short: 20 });
});
