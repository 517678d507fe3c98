import mqtt from "mqtt";
import { describe, expect, it, vi } from "vitest";
import type { Overflow } from "../../src/core/manifest.ts";
import type { GatewayStats } from "../../src/core/stats.ts";
import { functionOf, type TestFunction } from "../support/functions.ts";
import { WholeGateway } from "./whole-gateway.ts";

/** More than twice of what the journal may have. */
const MESSAGES = 600;
const KEYS = 5;
const PADDING = "x".repeat(16 * 1024);
const JOURNAL_BYTES_MAX = 4 * 1024 * 1024;

/** The first version gets nothing done, and its messages wait; the second handles all that is left. */
function behind(overflow: Overflow, version: 1 | 2): TestFunction {
  const handler = version === 1 ? "throw new Error('not yet');" : "ctx.emit('seen', { n: event.data.n }, { subject: event.params.k });";
  const retry = { attempts: 100, minMs: 3_600_000, maxMs: 3_600_000, maxAgeMs: 30 * 86_400_000 };
  return functionOf({ name: "f", version, overflow, retry, handler });
}

interface Outcome {
  /** Acknowledged while the first version was there, and could do nothing. */
  readonly early: number;
  /** Acknowledged in the end. */
  readonly acknowledged: number;
  readonly seen: readonly number[];
  /** Whether those of each key were handled in order. */
  readonly inOrder: boolean;
  readonly drops: GatewayStats["drops"];
  /** Of the journal, before anything was handled. */
  readonly bytes: number;
}

/** Fills the journal of a gateway far beyond its quota, and then has handled what was kept. */
async function fill(overflow: Overflow): Promise<Outcome> {
  await using gateway = await WholeGateway.make({ MILLRACE_JOURNAL_BYTES_MAX: `${JOURNAL_BYTES_MAX}B` });
  await gateway.start();
  await gateway.publish(behind(overflow, 1));
  await using own = new AsyncDisposableStack();
  const client = await mqtt.connectAsync(gateway.addresses.mqtt, { reconnectPeriod: 0 });
  own.defer(() => client.endAsync(true));
  let acknowledged = 0;
  const publishing = (async () => {
    for (let n = 1; n <= MESSAGES; n++) {
      await client.publishAsync(`in/k${n % KEYS}`, JSON.stringify({ n, padding: PADDING }), { qos: 1 });
      acknowledged++;
    }
  })();
  const patience = { timeout: 60_000, interval: 50 };
  if (overflow === "block") await vi.waitUntil(async () => (await gateway.stats()).journal.waiting.length > 0, patience);
  else await publishing;
  const early = acknowledged;
  const { bytes } = (await gateway.stats()).journal;
  await gateway.publish(behind(overflow, 2));
  await publishing;
  await gateway.idle();
  const events = (await gateway.events("seen")).map(({ subject, data }) => ({ key: subject, n: (data as { n: number }).n }));
  const inOrder = Object.values(Object.groupBy(events, ({ key }) => key ?? "")).every((of = []) =>
    of.every(({ n }, index) => n > (of[index - 1]?.n ?? 0)),
  );
  const { drops } = await gateway.stats();
  return { early, acknowledged, seen: events.map(({ n }) => n).toSorted((a, b) => a - b), inOrder, drops, bytes };
}

const dropped = (count: number): GatewayStats["drops"] => [{ function: "f", reason: "journal-overflow", count }];
const numbersFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index);

describe("a function that is behind when the journal has reached its quota", () => {
  it("with block makes publishers wait, and loses nothing", async () => {
    const { early, acknowledged, seen, inOrder, drops, bytes } = await fill("block");
    expect(early).toBeLessThan(MESSAGES / 2);
    expect(bytes).toBeLessThan(2 * JOURNAL_BYTES_MAX);
    expect([acknowledged, drops, inOrder]).toEqual([MESSAGES, [], true]);
    expect(seen).toEqual(numbersFrom(1, MESSAGES));
  }, 120_000);

  it.each([
    ["drop-oldest", (kept: number) => numbersFrom(MESSAGES - kept + 1, kept)],
    ["drop-newest", (kept: number) => numbersFrom(1, kept)],
  ] as const)(
    "with %s lets nobody wait, and counts each message that it drops",
    async (overflow, expected) => {
      const { early, seen, inOrder, drops, bytes } = await fill(overflow);
      expect(bytes).toBeLessThan(2 * JOURNAL_BYTES_MAX);
      expect(early).toBe(MESSAGES);
      expect(seen.length).toBeGreaterThan(50);
      expect(seen.length).toBeLessThan(MESSAGES / 2);
      expect(seen).toEqual(expected(seen.length));
      expect([drops, inOrder]).toEqual([dropped(MESSAGES - seen.length), true]);
    },
    120_000,
  );

  it("with keep-latest keeps the newest of each key in any case, and counts the others", async () => {
    const { early, seen, inOrder, drops, bytes } = await fill("keep-latest");
    expect(bytes).toBeLessThan(2 * JOURNAL_BYTES_MAX);
    expect(early).toBe(MESSAGES);
    expect(seen.slice(-KEYS)).toEqual(numbersFrom(MESSAGES - KEYS + 1, KEYS));
    expect(seen.length).toBeLessThan(MESSAGES / 2);
    expect([drops, inOrder]).toEqual([dropped(MESSAGES - seen.length), true]);
  }, 120_000);
});
