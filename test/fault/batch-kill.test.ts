import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { FailureReport } from "../../src/core/failure-report.ts";
import type { DeadLetter } from "../../src/core/stats.ts";
import { functionOf } from "../support/functions.ts";
import { seeded } from "../support/random.ts";
import { WholeGateway } from "./whole-gateway.ts";

/**
 * The invariant: whatever moment `kill -9` comes at, of a function that handles batches, some messages of which fail,
 *
 *   every request that was answered 202 is done or given up, exactly once and never both, and none was done twice;
 *   what is done of a key comes in the order of its messages, and its state counts each of them once: 1, 2, 3 …;
 *   what is given up has one dead letter and one report.
 */
const KEYS = ["a", "b", "c", "d"];
const KILLS = 4;

/** Fails some for a while and some for good, and whatever is behind them in its batch. */
const batching = functionOf({
  name: "batching",
  triggers: [],
  also: [{ http: "POST /in/:k", answer: "accepted" }],
  key: "k",
  concurrency: 2,
  window: { size: 16, windowMs: 20 },
  retry: { attempts: 4, minMs: 10, maxMs: 40 },
  onFailure: { emit: "gave-up" },
  batch: `
    const failed = [];
    const behind = new Set();
    for (const event of events) {
      const { k } = event.params;
      const { n } = event.data;
      const isBad = n % 11 === 5 || (n % 7 === 3 && event.attempt === 1);
      if (isBad || behind.has(k)) {
        behind.add(k);
        failed.push({ id: event.id, error: isBad ? 'bad' : 'behind' });
        continue;
      }
      const own = ctx.of(event);
      const count = (await own.state.get('count') ?? 0) + 1;
      own.state.set('count', count);
      own.emit('done', { k, n, count });
    }
    return { failed };`,
});

/** Sends numbered requests of one key, one after the other and none a second time; goes on with the next when the gateway is away. */
async function send(gateway: WholeGateway, key: string, stop: AbortSignal): Promise<{ sent: number; accepted: number[] }> {
  const accepted: number[] = [];
  let n = 0;
  while (!stop.aborted) {
    const body = JSON.stringify({ n: ++n });
    try {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${gateway.addresses.http}/fn/in/${key}`, { method: "POST", headers, body });
      await answer.arrayBuffer();
      if (answer.status === 202) accepted.push(n);
    } catch {
      await sleep(20); // It is being killed; nobody knows what became of this one.
    }
  }
  return { sent: n, accepted };
}

describe.each([1, 2])("a gateway that is killed while parts of batches fail, with seed %i", (seed) => {
  it("counts every message once, in order, and gives up each bad one once", async () => {
    await using gateway = await WholeGateway.make();
    const random = seeded(seed);
    await gateway.start();
    await gateway.publish(batching);
    const stop = new AbortController();
    const sending = Promise.all(KEYS.map((key) => send(gateway, key, stop.signal)));
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(100 + random() * 700); // The moment of the kill, not a wait for something.
      await gateway.kill();
      await gateway.start();
    }
    await sleep(200);
    stop.abort();
    const senders = await sending;
    await gateway.idle();

    const done = (await gateway.events("done")).map(({ data }) => data as { k: string; n: number; count: number });
    const reports = (await gateway.events("gave-up")).map(({ data }) => data as FailureReport);
    const letters = (await (await fetch(`${gateway.addresses.http}/v1/dead-letters?limit=1000`)).json()) as DeadLetter[];
    expect(letters.map(({ seq }) => `g:${seq}`).toSorted()).toEqual(reports.map(({ id }) => id).toSorted());
    for (const [index, key] of KEYS.entries()) {
      const { accepted, sent } = senders[index] ?? { accepted: [], sent: 0 };
      const own = done.filter(({ k }) => k === key).toSorted((a, b) => a.count - b.count);
      expect(own.map(({ count }) => count)).toEqual(own.map((_each, at) => at + 1));
      const numbers = own.map(({ n }) => n);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      const given = reports.filter((report) => report.key === key).map(({ payload }) => (JSON.parse(payload) as { n: number }).n);
      expect(given.toSorted((a, b) => a - b)).toEqual([...new Set(given)].toSorted((a, b) => a - b));
      expect(given.filter((n) => n % 11 !== 5)).toEqual([]);
      expect(numbers.filter((n) => n % 11 === 5)).toEqual([]);
      const over = new Set([...numbers, ...given]);
      expect(accepted.filter((n) => !over.has(n))).toEqual([]);
      expect(Math.max(...over)).toBeLessThanOrEqual(sent);
      expect(accepted.length).toBeGreaterThan(20);
    }
  }, 180_000);
});
