import { join } from "node:path";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { pino } from "pino";
import { expect, it } from "vitest";
import { openEmbeddedLink } from "../../../src/control/embedded-link.ts";
import { EventLog } from "../../../src/control/event-log.ts";
import { Ingest } from "../../../src/control/ingest.ts";
import { migrate } from "../../../src/control/migrations.ts";
import { openPGliteStore } from "../../../src/control/pglite-store.ts";
import { decodeLink, encodeLink } from "../../../src/core/link.ts";
import { eventBatchSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { fastClock, GATEWAY, newSync, temporaryFolder, TestOutbox } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

const BATCH_EVENTS = 1_000;
const BATCHES = 6;
const HUGE = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024), { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });

/** What the link makes of a batch, by its place among those that were sent; the others arrive as they were sent. */
const DAMAGE: Readonly<Record<number, (payload: Uint8Array) => Uint8Array>> = {
  2: (payload) => payload.subarray(0, payload.length >> 1),
  3: () => HUGE,
  5: (payload) => Buffer.concat([payload.subarray(0, 8), Buffer.alloc(payload.length - 8, 0xff)]),
};

it("takes nothing of damaged and oversized batches, goes on with the next good one, and gets all events in the end", async () => {
  await using own = await temporaryFolder();
  await using outbox = await TestOutbox.open(own.path);
  await using store = await openPGliteStore(join(own.path, "pg"));
  await migrate(store);
  const log = new EventLog(store);
  await using link = await openEmbeddedLink({ host: "127.0.0.1", port: 0 }, silentLogger);
  const told: object[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void told.push(JSON.parse(line) as object) });
  /** With which events each batch was sent. */
  const sent = new Map<number, string[]>();
  const acknowledged: number[] = [];
  let first: number | undefined;
  const placeOf = (batch: number): number => batch - (first ??= batch) + 1;
  const ingest = new Ingest(
    log,
    (gateway, ack) => {
      acknowledged.push(placeOf(ack.batch));
      link.publish(gateway, "events/ack", encodeLink(ack));
    },
    logger,
  );
  let answering = true;
  link.on("events", (gateway, payload) => {
    const batch = decodeLink(eventBatchSchema, zstdDecompressSync(payload));
    if (batch === undefined) throw new Error("the gateway sent a batch that cannot be read");
    if (!answering) return;
    const place = placeOf(batch.batch);
    sent.set(
      place,
      batch.events.map(({ id }) => id),
    );
    ingest.offer(gateway, DAMAGE[place]?.(payload) ?? payload);
    answering = place !== BATCHES;
  });
  const stored = async (): Promise<string[]> =>
    (await log.page({ limit: 10_000, order: "asc", gateway: GATEWAY })).events.map(({ id }) => id);

  await outbox.add(BATCHES * BATCH_EVENTS);
  await using sync = newSync({ url: link.address, data: own.path, outbox, clock: fastClock(6) });
  sync.connect();
  const patiently = { timeout: 25_000, interval: 20 };
  // Nobody answers what is sent again, until the first round has been looked at.
  await eventually(() => expect(outbox.outbox.pending).toBe(3 * BATCH_EVENTS), patiently);
  expect(acknowledged).toEqual([1, 4, 6]);
  expect(ingest.counters).toMatchObject({ malformed: 3, batches: 3, stored: 3 * BATCH_EVENTS, rejected: 0 });
  expect(told).toEqual(Array.from({ length: 3 }, () => expect.objectContaining({ gateway: GATEWAY, code: "BATCH_UNREADABLE" })));
  expect(await stored()).toEqual([1, 4, 6].flatMap((batch) => sent.get(batch)));

  answering = true;
  await eventually(() => expect(outbox.outbox.pending).toBe(0), patiently);
  const ids = await stored();
  expect(ids).toHaveLength(BATCHES * BATCH_EVENTS);
  expect(new Set(ids)).toEqual(new Set(Array.from({ length: BATCHES * BATCH_EVENTS }, (_, n) => `${GATEWAY}:${n + 1}:celsius:0`)));
  expect(sync.status()).toMatchObject({ uploaded: BATCHES * BATCH_EVENTS, rejected: 0 });
  await ingest.close();
});
