import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EventLog } from "../../../src/control/event-log.ts";
import { Ingest } from "../../../src/control/ingest.ts";
import { migrate } from "../../../src/control/migrations.ts";
import { openPGliteStore } from "../../../src/control/pglite-store.ts";
import type { Store } from "../../../src/control/store.ts";
import { MillraceError } from "../../../src/core/errors.ts";
import { encodeLink } from "../../../src/core/link.ts";
import type { EventAck } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { sampleEvent, temporaryFolder } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let store: Store;
/** Runs before each transaction commits. */
let beforeCommit: () => Promise<void>;

beforeAll(async () => {
  folder = await temporaryFolder();
  store = await openPGliteStore(join(folder.path, "pg"));
  await migrate(store);
}, 120_000);
afterAll(async () => {
  await store.close();
  await folder[Symbol.asyncDispose]();
});
beforeEach(() => void (beforeCommit = () => Promise.resolve()));

function ingest(): { ingest: Ingest; acks: EventAck[] } {
  const gated: Store = {
    query: store.query.bind(store),
    execute: store.execute.bind(store),
    script: store.script.bind(store),
    copy: store.copy.bind(store),
    close: () => store.close(),
    broken: store.broken,
    [Symbol.asyncDispose]: () => store.close(),
    transaction: (work) =>
      store.transaction(async (tx) => {
        const result = await work(tx);
        await beforeCommit();
        return result;
      }),
  };
  const acks: EventAck[] = [];
  return { ingest: new Ingest(new EventLog(gated), (_, ack) => acks.push(ack), silentLogger), acks };
}

const twenty = (from: number): ReturnType<typeof sampleEvent>[] => Array.from({ length: 20 }, (_, n) => sampleEvent("poison", from + n));

const payload = (batch: number, ...events: ReturnType<typeof sampleEvent>[]): Buffer => encodeLink({ batch, events });

async function idsOf(gateway: string): Promise<string[]> {
  const page = await new EventLog(store).page({ limit: 5_000, order: "asc", gateway });
  return page.events.map(({ id }) => id);
}

describe("ingest", () => {
  it("stores a batch once though it is sent twice, and counts what it had", async () => {
    const { ingest: to, acks } = ingest();
    to.offer("twice", payload(1, sampleEvent("twice", 1), sampleEvent("twice", 2)));
    to.offer("twice", payload(2, sampleEvent("twice", 1), sampleEvent("twice", 2), sampleEvent("twice", 3)));
    await eventually(() => expect(acks).toHaveLength(2));
    expect(acks).toEqual([
      { batch: 1, stored: 2, duplicates: 0, rejected: 0 },
      { batch: 2, stored: 1, duplicates: 2, rejected: 0 },
    ]);
    expect(await idsOf("twice")).toEqual([1, 2, 3].map((n) => `twice:${n}:celsius:0`));
    expect(to.counters).toMatchObject({ batches: 2, stored: 3, duplicates: 2 });
    await to.close();
  });

  it("stores once what is in one batch twice, and in batches that share a transaction", async () => {
    const { ingest: to, acks } = ingest();
    to.offer("same", payload(1, sampleEvent("same", 1), sampleEvent("same", 1)));
    to.offer("same", payload(2, sampleEvent("same", 2), sampleEvent("same", 1), sampleEvent("same", 1, { function: "other" })));
    await eventually(() => expect(acks).toHaveLength(2));
    expect(acks).toEqual([
      { batch: 1, stored: 1, duplicates: 1, rejected: 0 },
      { batch: 2, stored: 2, duplicates: 1, rejected: 0 },
    ]);
    expect(await idsOf("same")).toEqual(["same:1:celsius:0", "same:2:celsius:0", "same:1:other:0"]);
    await to.close();
  });

  it("gives back what it was given, whichever way it was written", async () => {
    const { ingest: to, acks } = ingest();
    const odd = { type: "tÿpe", subject: "a/ä/€/😀", time: 1_700_000_000_123, version: 2 ** 31 - 1, data: '{"€":["😀",1.5,null]}' };
    for (const seq of [2 ** 32 + 7, Number.MAX_SAFE_INTEGER]) to.offer("odd", payload(1, sampleEvent("odd", seq, odd)));
    await eventually(() => expect(acks).toHaveLength(2));
    to.offer("odd", payload(2, sampleEvent("odd", 2 ** 32 + 7), sampleEvent("odd", 5, odd)));
    await eventually(() => expect(acks).toHaveLength(3));
    const { events } = await new EventLog(store).page({ limit: 10, order: "asc", gateway: "odd" });
    expect(events.map(({ id }) => id)).toEqual([2 ** 32 + 7, Number.MAX_SAFE_INTEGER, 5].map((seq) => `odd:${seq}:celsius:0`));
    const { type, subject, version: functionversion } = odd;
    const same = { type, subject, functionversion, time: "2023-11-14T22:13:20.123Z", data: { "€": ["😀", 1.5, null] } };
    for (const event of events) expect(event).toMatchObject(same);
    await to.close();
  });

  it("acknowledges only after the commit", async () => {
    const { ingest: to, acks } = ingest();
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    beforeCommit = () => {
      reached.resolve();
      return gate.promise;
    };
    to.offer("late", payload(1, sampleEvent("late", 1)));
    await reached.promise;
    expect(acks).toEqual([]);
    gate.resolve();
    await eventually(() => expect(acks).toHaveLength(1));
    expect(await idsOf("late")).toHaveLength(1);
    await to.close();
  });

  it("acknowledges nothing when the commit fails, and stores the batch when it comes again", async () => {
    const { ingest: to, acks } = ingest();
    beforeCommit = () => Promise.reject(new MillraceError("STORE_FAILED", "planted"));
    to.offer("failing", payload(1, sampleEvent("failing", 1)));
    await eventually(() => expect(to.counters.failed).toBe(1));
    beforeCommit = () => Promise.resolve();
    expect(acks).toEqual([]);
    expect(await idsOf("failing")).toEqual([]);
    to.offer("failing", payload(2, sampleEvent("failing", 1)));
    await eventually(() => expect(acks).toEqual([{ batch: 2, stored: 1, duplicates: 0, rejected: 0 }]));
    await to.close();
  });

  it("finds the events that only the store can refuse, in a group of batches, and keeps all the others", async () => {
    const { ingest: to, acks } = ingest();
    const log = new EventLog(store);
    const before = await log.count();
    to.offer("poison", payload(1, ...twenty(0)));
    to.offer(
      "poison",
      payload(
        2,
        ...twenty(100),
        sampleEvent("poison", 200, { data: String.raw`{"a":"\ud800"}` }),
        sampleEvent("poison", 201, { data: "1e999999" }),
        sampleEvent("poison", 202, { data: "nonsense" }),
        ...twenty(300),
      ),
    );
    to.offer("poison", payload(3, ...twenty(400)));
    await eventually(() => expect(acks).toHaveLength(3));
    expect(acks).toEqual([
      { batch: 1, stored: 20, duplicates: 0, rejected: 0 },
      { batch: 2, stored: 40, duplicates: 0, rejected: 3 },
      { batch: 3, stored: 20, duplicates: 0, rejected: 0 },
    ]);
    expect(await idsOf("poison")).toHaveLength(80);
    expect((await log.count()) - before).toBe(80);
    await to.close();
  });

  it("counts what cannot be read at all, and takes nothing after it was closed", async () => {
    const { ingest: to, acks } = ingest();
    to.offer("rubbish", Buffer.from("rubbish"));
    await eventually(() => expect(to.counters.malformed).toBe(1));
    await to.close();
    to.offer("rubbish", payload(1, sampleEvent("rubbish", 1)));
    expect(to.counters.refused).toBe(1);
    expect(acks).toEqual([]);
  });

  it("keeps at most 64 MB waiting and leaves the rest to the gateways", async () => {
    const { ingest: to } = ingest();
    const large = Buffer.alloc(16 * 1024 * 1024);
    for (let n = 0; n < 5; n++) to.offer("flood", large);
    expect(to.counters.refused).toBe(1);
    await to.close();
  });
});
