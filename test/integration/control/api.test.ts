import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import type { ControlPlane } from "../../../src/control-plane.ts";
import { BUNDLE_BYTES_MAX, decodeBundle, encodeBundle } from "../../../src/core/bundle.ts";
import { controlApi, DIGEST_HEADER } from "../../../src/core/control-api.ts";
import { artifactChunkSchema, desiredSchema, type Reported } from "../../../src/core/link-messages.ts";
import { sampleBundle } from "../../unit/sync/samples.ts";
import { RawGateway, sampleEvent, startControl, temporaryFolder } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let control: ControlPlane;

beforeAll(async () => {
  folder = await temporaryFolder();
  control = await startControl(folder.path);
}, 120_000);
afterAll(async () => {
  await control.close();
  await folder[Symbol.asyncDispose]();
});

async function call(method: string, path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown }> {
  const response = await fetch(control.addresses.http + path, { method, ...init });
  return { status: response.status, body: await response.json() };
}

async function get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const { status, body } = await call("GET", path);
  expect(status).toBe(200);
  return schema.parse(body);
}

async function refused(status: number, code: string, answer: Promise<{ status: number; body: unknown }>): Promise<void> {
  const { status: actual, body } = await answer;
  expect({ status: actual, code: controlApi.error.parse(body).error.code }).toEqual({ status, code });
}

const put = (name: string, bytes: Uint8Array, digest?: string): ReturnType<typeof call> =>
  call("PUT", `/v1/functions/${name}`, {
    body: Buffer.from(bytes),
    ...(digest === undefined ? {} : { headers: { [DIGEST_HEADER]: digest } }),
  });

const published = async (bytes: Uint8Array): Promise<unknown> => (await put("counted", bytes)).body;

const page = (query: string): Promise<z.infer<typeof controlApi.events>> => get(`/v1/events?${query}`, controlApi.events);

const subjects = (found: z.infer<typeof controlApi.events>): string[] => found.events.map(({ subject }) => subject.replace(/\D/g, ""));

const helloOf = (gateway: string, functions: Reported["functions"] = []): Reported => ({
  gateway,
  version: "0.1.0",
  startedAt: new Date().toISOString(),
  labels: { site: "milan" },
  revision: 0,
  functions,
  drops: [],
});

describe("publishing", () => {
  const one = sampleBundle("counted", "1");
  const two = sampleBundle("counted", "2");

  it("numbers versions, knows what it has, and can go back", async () => {
    expect(await published(one.bytes)).toEqual({ name: "counted", version: 1, digest: one.digest, unchanged: false });
    expect(await published(one.bytes)).toEqual({ name: "counted", version: 1, digest: one.digest, unchanged: true });
    expect(await published(two.bytes)).toEqual({ name: "counted", version: 2, digest: two.digest, unchanged: false });
    expect(await published(one.bytes)).toEqual({ name: "counted", version: 1, digest: one.digest, unchanged: false });
    const versions = await get("/v1/functions/counted/versions", controlApi.versions);
    expect(versions.map(({ version, latest, bytes }) => ({ version, latest, bytes }))).toEqual([
      { version: 2, latest: false, bytes: two.bytes.length },
      { version: 1, latest: true, bytes: one.bytes.length },
    ]);
  });

  it("tells the connected gateways, one that says hello, and hands out the bundle in pieces", async () => {
    const large = sampleBundle("large", "x", 600_000);
    await using early = await RawGateway.connect(control.addresses.mqtt, "early");
    await early.send("hello", helloOf("early"));
    const before = await early.next("desired", desiredSchema);
    await put("large", large.bytes, large.digest);
    const after = await early.next("desired", desiredSchema, ({ revision }) => revision > before.revision);
    expect(after.functions).toContainEqual({ name: "large", version: 1, digest: large.digest, bytes: large.bytes.length });

    await using late = await RawGateway.connect(control.addresses.mqtt, "late");
    await late.send("hello", helloOf("late"));
    expect(await late.next("desired", desiredSchema)).toEqual(after);

    const pieces: Uint8Array[] = [];
    for (let offset = 0; offset < large.bytes.length;) {
      await late.send("artifact/get", { digest: large.digest, offset });
      const chunk = await late.next("artifact/chunk", artifactChunkSchema);
      expect(chunk).toMatchObject({ offset, total: large.bytes.length });
      pieces.push(chunk.bytes);
      offset += chunk.bytes.length;
    }
    expect(pieces.length).toBe(3);
    expect(Buffer.concat(pieces).equals(large.bytes)).toBe(true);
    await late.send("artifact/get", { digest: "0".repeat(64), offset: 0 });
    expect(await late.next("artifact/chunk", artifactChunkSchema)).toMatchObject({ total: 0 });
  });

  it("counts the gateways on which the latest version is active or failed", async () => {
    const { bytes, digest } = sampleBundle("watched", "1");
    await put("watched", bytes);
    await using good = await RawGateway.connect(control.addresses.mqtt, "good");
    await using bad = await RawGateway.connect(control.addresses.mqtt, "bad");
    await good.send("hello", helloOf("good", [{ name: "watched", version: 1, digest, state: "active" }]));
    await bad.send("hello", helloOf("bad", [{ name: "watched", version: 1, digest, state: "failed", error: "no" }]));
    await eventually(async () => {
      const watched = (await get("/v1/functions", controlApi.functions)).find(({ name }) => name === "watched");
      expect(watched).toMatchObject({
        latest: 1,
        digest,
        triggers: [{ mqtt: "sensors/+device/temp" }],
        gateways: { active: 1, failed: 1, quarantined: 0 },
      });
    });
    const gateways = await get("/v1/gateways", controlApi.gateways);
    expect(gateways.find(({ id }) => id === "good")).toMatchObject({
      connected: true,
      labels: { site: "milan" },
      functions: [{ name: "watched" }],
    });
  });

  it("takes a function away and goes on counting when it comes back", async () => {
    const { bytes } = sampleBundle("gone", "1");
    await put("gone", bytes);
    await using gateway = await RawGateway.connect(control.addresses.mqtt, "remover");
    await gateway.send("hello", helloOf("remover"));
    const before = await gateway.next("desired", desiredSchema);
    expect(await call("DELETE", "/v1/functions/gone")).toEqual({ status: 200, body: { name: "gone", removed: true } });
    const after = await gateway.next("desired", desiredSchema, ({ revision }) => revision > before.revision);
    expect(after.functions.map(({ name }) => name)).not.toContain("gone");
    await refused(404, "FUNCTION_UNKNOWN", call("DELETE", "/v1/functions/gone"));
    expect((await get("/v1/functions/gone/versions", controlApi.versions)).map(({ latest }) => latest)).toEqual([false]);
    expect((await put("gone", sampleBundle("gone", "2").bytes)).body).toMatchObject({ version: 2 });
  });

  it("refuses what is not the function it says it is", async () => {
    await refused(422, "DIGEST_MISMATCH", put("counted", one.bytes, two.digest));
    await refused(400, "REQUEST_INVALID", put("other", one.bytes));
    await refused(400, "REQUEST_INVALID", put("no%20name", one.bytes));
    await refused(400, "BUNDLE_CORRUPT", put("counted", Buffer.from("{}")));
    const mapped = encodeBundle({ ...decodeBundle(one.bytes), sourceMap: '{"version":3,"sources":["/etc/passwd"],"mappings":""}' });
    await refused(422, "SOURCE_MAP_INVALID", put("counted", mapped));
    await refused(413, "BUNDLE_TOO_LARGE", put("counted", Buffer.alloc(BUNDLE_BYTES_MAX + 1)));
    await refused(404, "FUNCTION_UNKNOWN", call("GET", "/v1/functions/nobody/versions"));
    await refused(404, "NOT_FOUND", call("POST", "/v1/functions"));
    const answer = await call("GET", "/v1/functions/nobody/versions");
    expect(answer.body).toEqual({
      error: { code: "FUNCTION_UNKNOWN", message: expect.stringContaining("nobody"), hint: expect.any(String) },
    });
  });
});

describe("events", () => {
  beforeAll(async () => {
    await using a = await RawGateway.connect(control.addresses.mqtt, "pages-a");
    await using b = await RawGateway.connect(control.addresses.mqtt, "pages-b");
    await a.upload(
      1,
      Array.from({ length: 5 }, (_, n) => sampleEvent("pages-a", n)),
    );
    await b.upload(1, [sampleEvent("pages-b", 0, { type: "alarm", function: "threshold" })]);
    await a.upload(
      2,
      Array.from({ length: 5 }, (_, n) => sampleEvent("pages-a", n + 5)),
    );
  });

  it("come page by page, forwards", async () => {
    const first = await page("gateway=pages-a&limit=4");
    expect(subjects(first)).toEqual(["0", "1", "2", "3"]);
    const second = await page(`gateway=pages-a&limit=4&after=${first.next}`);
    expect(subjects(second)).toEqual(["4", "5", "6", "7"]);
    const last = await page(`gateway=pages-a&limit=4&after=${second.next}`);
    expect(subjects(last)).toEqual(["8", "9"]);
    expect(last.next).toBeNull();
  });

  it("and backwards", async () => {
    const first = await page("gateway=pages-a&limit=7&order=desc");
    expect(subjects(first)).toEqual(["9", "8", "7", "6", "5", "4", "3"]);
    const last = await page(`gateway=pages-a&limit=7&order=desc&after=${first.next}`);
    expect(subjects(last)).toEqual(["2", "1", "0"]);
    expect(last.next).toBeNull();
  });

  it("are CloudEvents, found by function, gateway and type", async () => {
    for (const query of ["function=threshold", "gateway=pages-b", "type=alarm", "type=alarm&gateway=pages-b&function=threshold"]) {
      const { events } = await page(query);
      expect(events).toEqual([
        {
          specversion: "1.0",
          id: "pages-b:0:threshold:0",
          source: "/gateways/pages-b/functions/threshold",
          type: "alarm",
          subject: "sensors/d0/temp",
          time: "2023-11-14T22:13:20.000Z",
          datacontenttype: "application/json",
          data: { n: "d0", u: "Cel", v: 20.5 },
          gateway: "pages-b",
          function: "threshold",
          functionversion: 1,
          position: expect.any(Number),
        },
      ]);
    }
    expect((await page("type=alarm&gateway=pages-a")).events).toEqual([]);
  });

  it("refuse a question that makes no sense, and say what would", async () => {
    await refused(400, "REQUEST_INVALID", call("GET", "/v1/events?limit=5001"));
    await refused(400, "REQUEST_INVALID", call("GET", "/v1/events?after=yesterday"));
    await refused(400, "REQUEST_INVALID", call("GET", "/v1/events?order=up"));
    const { body } = await call("GET", "/v1/events?gatway=a");
    expect(controlApi.error.parse(body).error.message).toContain('did you mean "gateway"');
  });

  it("are counted in the stats", async () => {
    const stats = await get("/v1/stats", controlApi.stats);
    expect(stats.events).toBe(11);
    expect(stats.ingest).toMatchObject({ batches: 3, stored: 11, duplicates: 0, rejected: 0 });
  });
});

it("says that it lives and that it can serve", async () => {
  expect(await call("GET", "/healthz")).toEqual({ status: 200, body: { ok: true } });
  expect(await call("GET", "/readyz")).toEqual({ status: 200, body: { ok: true } });
});
