import { afterEach, beforeEach, expect, it } from "vitest";
import { encodeBundle } from "../../../src/core/bundle.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { type HttpServer, startHttp } from "../../../src/http/server.ts";
import { functionOf } from "../../support/functions.ts";
import { Parts } from "./support.ts";

let parts: Parts;
let http: HttpServer;

beforeEach(async () => {
  parts = new Parts();
  http = await startHttp({ host: "127.0.0.1", port: 0, payloadBytesMax: 1000 }, parts, { logger: silentLogger });
});
afterEach(() => http.close());

async function post(path: string, body: unknown, type = "application/json"): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(http.address + path, { method: "POST", headers: { "content-type": type }, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

const line = { seq: 3, time: "1970-01-01T00:00:01Z", topic: "a", qos: 1, source: "c", payload: "x" };

it("a replay is begun, handed messages and ended", async () => {
  expect(await post("/v1/replays", { function: "normalize", version: 3 })).toEqual({
    status: 200,
    body: { id: "r1", function: "normalize", version: 3 },
  });
  expect(await post("/v1/replays/r1/messages", { messages: [line] })).toEqual({ status: 200, body: { taken: 1, results: [] } });
  expect((await fetch(`${http.address}/v1/replays/r1`, { method: "DELETE" })).status).toBe(200);
  const message = { seq: 3, time: 1_000, topic: "a", qos: 1, retain: false, source: "c", hops: 0, payload: Buffer.from("x") };
  expect(parts.replayed).toEqual([
    { request: { of: "normalize", version: 3, state: "current" } },
    { id: "r1", messages: [message] },
    { id: "r1" },
  ]);
});

it("a replay may bring its own bundle", async () => {
  const { bundle } = functionOf({ handler: "" });
  await post("/v1/replays", { bundle: encodeBundle(bundle).toString("base64"), state: "empty" });
  expect(parts.replayed).toMatchObject([{ request: { of: { manifest: { name: "f" } }, state: "empty" } }]);
});

it("messages are handed in as new ones", async () => {
  expect(await post("/v1/journal", { function: "normalize", version: 3, messages: [line] })).toEqual({
    status: 200,
    body: { handedIn: 1 },
  });
  expect(parts.handedIn).toMatchObject([{ request: { function: "normalize", version: 3 }, messages: [{ seq: 3, topic: "a" }] }]);
});

it.each([
  ["/v1/journal", { messages: [line] }, 400, "REQUEST_INVALID"],
  ["/v1/replays", {}, 400, "REQUEST_INVALID"],
  ["/v1/replays", { function: "a", bundle: "" }, 400, "REQUEST_INVALID"],
  ["/v1/replays", { function: "a", state: "other" }, 400, "REQUEST_INVALID"],
  ["/v1/replays", { bundle: "AAAA" }, 400, "BUNDLE_CORRUPT"],
  ["/v1/replays", { function: "other" }, 404, "FUNCTION_UNKNOWN"],
  ["/v1/replays/r1/messages", { messages: [] }, 400, "REQUEST_INVALID"],
  ["/v1/replays/r1/messages", { messages: [{ ...line, topic: "a/#" }] }, 400, "REQUEST_INVALID"],
  ["/v1/replays/r1/messages", { messages: Array.from({ length: 1_001 }, () => line) }, 400, "REQUEST_INVALID"],
])("%s refuses %#", async (path, body, status, code) => {
  expect(await post(path, body)).toMatchObject({ status, body: { error: { code } } });
  expect(parts.replayed).toEqual([]);
});

it("code is not taken from a web page of another origin", async () => {
  expect(await post("/v1/replays", { function: "normalize" }, "text/plain")).toMatchObject({ status: 400 });
  expect(parts.replayed).toEqual([]);
});
