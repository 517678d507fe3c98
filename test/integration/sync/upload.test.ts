import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedLink } from "../../../src/control/embedded-link.ts";
import { type ControlPlane, startControlPlane } from "../../../src/control-plane.ts";
import { controlApi } from "../../../src/core/control-api.ts";
import { decodeLink, encodeLink } from "../../../src/core/link.ts";
import { eventBatchSchema, reportedSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { UPLOAD_DEFAULTS } from "../../../src/sync/uploader.ts";
import { fastClock, GATEWAY, newSync, RecordingDeployer, Relay, temporaryFolder, TestOutbox } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let control: ControlPlane;

beforeAll(async () => {
  folder = await temporaryFolder();
  control = await startControlPlane({ data: folder.path, http: LOCAL, mqtt: LOCAL }, { logger: silentLogger });
}, 120_000);
afterAll(async () => {
  await control.close();
  await folder[Symbol.asyncDispose]();
});

async function storedIds(): Promise<string[]> {
  const ids: string[] = [];
  for (let next: number | null = 0; next !== null;) {
    const response = await fetch(`${control.addresses.http}/v1/events?gateway=${GATEWAY}&limit=5000&after=${next}`);
    const page = controlApi.events.parse(await response.json());
    ids.push(...page.events.map(({ id }) => id));
    next = page.next;
  }
  return ids;
}

async function listedDrops(): Promise<readonly object[] | undefined> {
  const response = await fetch(`${control.addresses.http}/v1/gateways`);
  return controlApi.gateways.parse(await response.json()).find(({ id }) => id === GATEWAY)?.drops;
}

const tooLarge = (count: number): object => ({ function: "celsius", reason: "outbox-too-large", count });

const patiently = { timeout: 25_000, interval: 20 };

describe("uploading the outbox", () => {
  it("loses and doubles nothing though the link is cut again and again in the middle", async () => {
    const count = 20_000;
    await using own = await temporaryFolder();
    await using outbox = await TestOutbox.open(own.path);
    await using relay = await Relay.to(control.addresses.mqtt);
    await using sync = newSync({ url: relay.url, data: own.path, outbox, clock: fastClock(10) });
    await outbox.add(count);
    sync.connect();
    for (const part of [0.1, 0.4, 0.7]) {
      await eventually(() => expect(count - outbox.outbox.pending).toBeGreaterThan(count * part), patiently);
      relay.cut();
    }
    await eventually(() => expect(outbox.outbox.pending).toBe(0), patiently);
    expect(relay.cuts).toBe(3);
    const ids = await storedIds();
    expect(ids).toHaveLength(count);
    expect(new Set(ids).size).toBe(count);
    expect(sync.status()).toMatchObject({ connected: true, uploaded: count, rejected: 0 });
  });

  it("sends what comes later, and does not stumble over what can never be stored", async () => {
    await using own = await temporaryFolder();
    await using outbox = await TestOutbox.open(own.path);
    await using sync = newSync({ url: control.addresses.mqtt, data: own.path, outbox });
    sync.connect();
    await eventually(() => expect(sync.status().connected).toBe(true), patiently);
    await outbox.add(2, "no json");
    await outbox.add(1);
    await outbox.add(1, `"${"x".repeat(3 * 1024 * 1024)}"`);
    await outbox.add(1);
    await eventually(() => expect(outbox.outbox.pending).toBe(0), patiently);
    expect(sync.status()).toMatchObject({ uploaded: 2, rejected: 2 });
  });
});

describe("what a gateway drops by choice", () => {
  const large = `"${"x".repeat(3 * 1024 * 1024)}"`;

  it("is in the control plane's list of gateways: from the first report on, and what comes later too", async () => {
    await using own = await temporaryFolder();
    await using outbox = await TestOutbox.open(own.path);
    await outbox.add(2, large);
    // A report is due every 30 s.
    await using sync = newSync({ url: control.addresses.mqtt, data: own.path, outbox, clock: fastClock(100) });
    sync.connect();
    await eventually(async () => expect(await listedDrops()).toEqual([tooLarge(2)]), patiently);
    await outbox.add(1, large);
    outbox.drops.count("journal-overflow", "celsius", 5);
    const all = [tooLarge(3), { function: "celsius", reason: "journal-overflow", count: 5 }];
    await eventually(async () => expect(await listedDrops()).toEqual(all), patiently);
    expect(sync.status().connected).toBe(true);
  });
});

it("reports drops twice: one report may be lost on the link", async () => {
  await using own = await temporaryFolder();
  await using outbox = await TestOutbox.open(own.path);
  await using link = await openEmbeddedLink(LOCAL, silentLogger);
  const counts: (number | undefined)[] = [];
  link.on("reported", (_, payload) => void counts.push(decodeLink(reportedSchema, payload)?.drops?.[0]?.count));
  await using sync = newSync({ url: link.address, data: own.path, outbox, clock: fastClock(100) });
  sync.connect();
  await eventually(() => expect(sync.status().connected).toBe(true), patiently);
  outbox.drops.count("journal-overflow", "celsius", 1);
  await eventually(() => expect(counts).toEqual([1, 1]), patiently);
  outbox.drops.count("journal-overflow", "celsius", 1);
  await eventually(() => expect(counts).toEqual([1, 1, 2, 2]), patiently);
});

it("reports what a function lacks as soon as that is noticed, and when it does not any more", async () => {
  await using own = await temporaryFolder();
  await using outbox = await TestOutbox.open(own.path);
  await using link = await openEmbeddedLink(LOCAL, silentLogger);
  const problems: unknown[] = [];
  link.on("reported", (_, payload) => void problems.push(decodeLink(reportedSchema, payload)?.functions[0]?.problems));
  const lacking = { code: "SECRET_MISSING", message: "set it" };
  const deployer = new RecordingDeployer();
  let found: { readonly problems?: (typeof lacking)[] } = {};
  deployer.reported = () => [{ name: "f", version: 1, digest: "d", state: "active", ...found }];
  await using sync = newSync({ url: link.address, data: own.path, outbox, deployer, clock: fastClock(100) });
  sync.connect();
  await eventually(() => expect(sync.status().connected).toBe(true), patiently);
  found = { problems: [lacking] };
  await eventually(() => expect(problems).toEqual([[lacking], [lacking]]), patiently);
  found = {};
  await eventually(() => expect(problems).toEqual([[lacking], [lacking], undefined, undefined]), patiently);
});

describe("the control plane's silence", () => {
  it("makes everything be sent again, and trims nothing", async () => {
    await using own = await temporaryFolder();
    await using outbox = await TestOutbox.open(own.path);
    await using link = await openEmbeddedLink(LOCAL, silentLogger);
    const batches: { batch: number; first: string | undefined }[] = [];
    let answering = false;
    link.on("events", (gateway, payload) => {
      const batch = decodeLink(eventBatchSchema, payload);
      if (batch === undefined) return;
      batches.push({ batch: batch.batch, first: batch.events[0]?.id });
      const ack = { batch: batch.batch, stored: batch.events.length, duplicates: 0, rejected: 0 };
      if (answering) link.publish(gateway, "events/ack", encodeLink(ack));
    });
    const upload = { ...UPLOAD_DEFAULTS, compression: "none" } as const;
    await using sync = newSync({ url: link.address, data: own.path, outbox, clock: fastClock(50), upload });
    await outbox.add(10_000);
    sync.connect();
    await eventually(() => expect(batches.length).toBeGreaterThan(8), patiently);
    expect(batches.slice(0, 9).map(({ first }) => first)).toEqual(
      [0, 1, 2, 3, 4, 5, 6, 7, 0].map((n) => `${GATEWAY}:${n * 1000 + 1}:celsius:0`),
    );
    expect(new Set(batches.map(({ batch }) => batch)).size).toBe(batches.length);
    expect(outbox.outbox.pending).toBe(10_000);
    answering = true;
    await eventually(() => expect(outbox.outbox.pending).toBe(0), patiently);
    expect(sync.status()).toMatchObject({ uploaded: 10_000 });
  });

  it("is a state and not an error: it says why, goes on trying, and stops when it is told", async () => {
    await using own = await temporaryFolder();
    await using outbox = await TestOutbox.open(own.path);
    const first = await openEmbeddedLink(LOCAL, silentLogger);
    const { port } = new URL(first.address);
    await first.close();
    const sync = newSync({ url: `mqtt://127.0.0.1:${port}`, data: own.path, outbox, clock: fastClock(10) });
    sync.connect();
    await eventually(
      () => expect(sync.status()).toMatchObject({ connected: false, error: expect.stringContaining("ECONNREFUSED") }),
      patiently,
    );
    await using link = await openEmbeddedLink({ host: "127.0.0.1", port: Number(port) }, silentLogger);
    await eventually(() => expect(sync.status().connected).toBe(true), patiently);
    expect(sync.status()).not.toHaveProperty("error");
    expect(link.address).toContain(port);
    await Promise.all([sync.close(), sync.close()]);
    await sync.stopped;
    expect(sync.status().connected).toBe(false);
  });
});
