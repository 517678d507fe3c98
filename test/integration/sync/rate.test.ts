import { zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { decodeLink } from "../../../src/core/link.ts";
import { type EventBatch, eventBatchSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { UPLOAD_DEFAULTS, Uploader, type UploadOptions } from "../../../src/sync/uploader.ts";
import { GATEWAY, temporaryFolder, TestOutbox } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

const RATE = 10_000;
const EVENTS = 1_500;
const HOUR_MS = 3_600_000;

/** Time that passes only while somebody sleeps: at once, and exactly as long as was asked for. */
class SleptClock implements Clock {
  slept = 0;
  #set = 1_700_000_000_000;

  now(): number {
    return this.#set + this.slept;
  }

  elapsed(): number {
    return this.slept;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept += ms;
    return Promise.resolve();
  }

  /** As a person or a time server sets a clock: nothing has passed. */
  step(ms: number): void {
    this.#set += ms;
  }
}

interface Sent {
  /** By the time that was slept through, so that setting the clock does not change it. */
  readonly at: number;
  readonly bytes: number;
  /** Bytes of all batches before this one. */
  readonly before: number;
  readonly ids: readonly string[];
}

interface Plan {
  readonly compression: UploadOptions["compression"];
  /** What happens when the batch with this number, from 1, has been sent; it is not confirmed then. */
  readonly at?: Readonly<Record<number, (uploader: Uploader, clock: SleptClock) => void>>;
}

/** Sends everything to a cloud that confirms at once. */
async function drain({ compression, at = {} }: Plan): Promise<Sent[]> {
  await using own = await temporaryFolder();
  await using outbox = await TestOutbox.open(own.path);
  await outbox.add(EVENTS);
  const clock = new SleptClock();
  const sent: Sent[] = [];
  const publish = (payload: Uint8Array): void => {
    const { batch, events } = read(payload);
    const last = sent.at(-1);
    const before = (last?.before ?? 0) + (last?.bytes ?? 0);
    sent.push({ at: clock.slept, bytes: payload.length, before, ids: events.map(({ id }) => id) });
    const happens = at[sent.length];
    if (happens === undefined) uploader.acked({ batch, stored: events.length, duplicates: 0, rejected: 0 });
    else happens(uploader, clock);
  };
  const options = { ...UPLOAD_DEFAULTS, rateMax: RATE, compression };
  const uploader = new Uploader(outbox.outbox, publish, { logger: silentLogger, clock, random: Math.random }, options);
  const over = new AbortController();
  uploader.connected();
  const running = uploader.run(over.signal);
  await eventually(() => expect(outbox.outbox.pending).toBe(0), { interval: 10 });
  over.abort();
  await running;
  return sent;
}

function read(payload: Uint8Array): EventBatch {
  const packed = payload[0] === 0x28;
  const batch = decodeLink(eventBatchSchema, packed ? zstdDecompressSync(payload) : payload);
  if (batch === undefined) throw new Error("the gateway sent a batch that cannot be read");
  return batch;
}

/** How many bytes more than the rate allows left in any stretch of time, from any batch up to any later one. */
function excess(sent: readonly Sent[]): number {
  const from = (first: Sent, later: Sent): number => later.before - first.before - (RATE * (later.at - first.at)) / 1_000;
  return Math.max(...sent.flatMap((first, index) => sent.slice(index + 1).map((later) => from(first, later))));
}

const everything = new Set(Array.from({ length: EVENTS }, (_, n) => `${GATEWAY}:${n + 1}:celsius:0`));
/** Rounding of times that are fractions of milliseconds. */
const ROUNDING_BYTES = 0.1;

function expectCapped(sent: readonly Sent[]): void {
  expect(sent.length).toBeGreaterThan(1);
  expect(excess(sent)).toBeLessThan(ROUNDING_BYTES);
  expect(new Set(sent.flatMap(({ ids }) => ids))).toEqual(everything);
}

/** When the last batch is sent, if the rate is used fully. */
const due = (sent: readonly Sent[]): number => ((sent.at(-1)?.before ?? 0) / RATE) * 1_000;

function again(uploader: Uploader): void {
  uploader.disconnected();
  uploader.connected();
}

function anHourBack(uploader: Uploader, clock: SleptClock): void {
  clock.step(-HOUR_MS);
  again(uploader);
}

describe("a rate for a metered link", () => {
  it.each(["none", "zstd"] as const)(
    "is kept in every stretch of time and used fully, and everything leaves (compression: %s)",
    async (compression) => {
      const sent = await drain({ compression });
      expectCapped(sent);
      expect(sent.flatMap(({ ids }) => ids)).toHaveLength(EVENTS);
      expect(sent.at(-1)?.at).toBeCloseTo(due(sent), 1);
    },
  );

  it("makes batches of about a second, so that nothing urgent waits longer than for one of them", async () => {
    const sent = await drain({ compression: "none" });
    for (const { bytes, ids } of sent) expect(bytes).toBeLessThanOrEqual(RATE + (2 * bytes) / ids.length);
  });

  it("counts what is sent twice, twice: a new connection does not begin anew", async () => {
    const sent = await drain({ compression: "none", at: { 2: again, 3: again, 6: again } });
    expectCapped(sent);
    expect(sent.flatMap(({ ids }) => ids).length).toBeGreaterThan(EVENTS);
  });

  it("does not stop the upload for an hour when the clock is set back by one", async () => {
    const sent = await drain({ compression: "none", at: { 3: anHourBack } });
    expectCapped(sent);
    expect(sent.at(-1)?.at).toBeCloseTo(due(sent), 1);
  });
});
