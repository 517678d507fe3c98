import { connect } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { type HttpServer, startHttp } from "../../../src/http/server.ts";
import { Core } from "../../support/core.ts";
import { Parts } from "./support.ts";

const HANDLER = `
  const { method, path, query, headers } = event.http;
  const { id } = event.params;
  if (query.fail === 'retry') throw new Error('no ' + event.attempt);
  if (query.fail === 'hang') await new Promise(() => undefined);
  if (query.fail === 'answer') { ctx.state.set('n', 99); return { status: 700 }; }
  if (query.give === 'nothing') return;
  if (query.give === 'text') return 'grün';
  if (query.give === 'bytes') return new Uint8Array([0, 255]);
  if (query.give === 'whole') return { status: 201, headers: { 'X-Kind': ['a', 'b'], 'content-type': 'text/csv' }, body: 'a;b' };
  const n = (await ctx.state.get('n') ?? 0) + 1;
  ctx.state.set('n', n);
  ctx.emit('called', { id, n });
  const { type, subject, data = null } = event;
  return { id, n, method, path, query, data, type, subject, cookie: headers.cookie ?? null, kind: headers['x-kind'] };`;

let core: Core;
let server: HttpServer;

beforeAll(async () => {
  core = await Core.temporary();
  const parts = Object.assign(new Parts(), { calls: core.runtime.http });
  server = await startHttp({ host: "127.0.0.1", port: 0 }, parts, { logger: silentLogger });
  await core.deploy(
    functionOf({
      name: "device",
      triggers: [],
      key: "id",
      also: [{ http: "GET,POST /device/:id", answer: "sync" }],
      limits: { wallMs: 2_000 },
      retry: { attempts: 5, minMs: 1, maxMs: 5 },
      handler: HANDLER,
    }),
    functionOf({
      name: "later",
      triggers: [],
      also: [{ http: "POST /later", answer: "accepted" }],
      handler: "ctx.publish('later/' + event.id.split(':')[1], event.text); return 'not heard';",
    }),
    functionOf({ name: "fixed", triggers: [], also: [{ http: "GET /device/all", answer: "sync" }], handler: "return [];" }),
  );
});

afterAll(async () => {
  await server.close();
  await core[Symbol.asyncDispose]();
});

function call(path: string, options: RequestInit = {}): Promise<Response> {
  return fetch(`${server.address}/fn${path}`, options);
}

describe("a route that answers", () => {
  it("gives what the handler returned, committed, under the key that the path names", async () => {
    const headers = { "content-type": "application/json", cookie: "secret", "x-kind": "k" };
    const first = await call("/device/a%2Fb?x=1&x=2&y=3", { method: "POST", headers, body: '{"v":1}' });
    expect(first.status).toBe(200);
    expect(first.headers.get("content-type")).toBe("application/json");
    expect(first.headers.get("x-millrace-message")).toMatch(/^g:\d+$/);
    expect(await first.json()).toEqual({
      id: "a/b",
      n: 1,
      method: "POST",
      path: "/device/a%2Fb",
      query: { x: ["1", "2"], y: "3" },
      data: { v: 1 },
      type: "http",
      subject: "/device/a/b",
      cookie: null,
      kind: "k",
    });
    expect(await (await call("/device/a%2Fb")).json()).toMatchObject({ n: 2, method: "GET", data: null });
    expect(await (await call("/device/other")).json()).toMatchObject({ n: 1 });
  });

  it.each([
    ["nothing", 204, null, ""],
    ["text", 200, "text/plain; charset=utf-8", "grün"],
    ["whole", 201, "text/csv", "a;b"],
  ])("gives %s", async (give, status, type, text) => {
    const response = await call(`/device/x?give=${give}`);
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([status, type, text]);
    expect(response.headers.get("x-kind")).toBe(give === "whole" ? "a, b" : null);
  });

  it("gives bytes", async () => {
    const response = await call("/device/x?give=bytes");
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0, 255]);
  });

  it("tells of the first failure, which is the last", async () => {
    const before = core.stats("device");
    const response = await call("/device/f?fail=retry");
    expect(response.status).toBe(500);
    const id = response.headers.get("x-millrace-message");
    expect(await response.json()).toMatchObject({ error: { code: "FUNCTION_THREW", message: "no 1", id } });
    const after = core.stats("device");
    expect([after.deadLettered - before.deadLettered, after.retried - before.retried]).toEqual([1, 0]);
  });

  it("fails with an answer that cannot be sent, and keeps nothing", async () => {
    const response = await call("/device/bad?fail=answer");
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: "FUNCTION_THREW", message: expect.stringContaining("700") as string } });
    expect(await (await call("/device/bad")).json()).toMatchObject({ n: 1 });
  });

  it("that is not JSON is 400, and one that takes too long 504", async () => {
    const headers = { "content-type": "application/json" };
    const wrong = await call("/device/p", { method: "POST", headers, body: "{" });
    expect([wrong.status, ((await wrong.json()) as { error: { code: string } }).error.code]).toEqual([400, "PAYLOAD_INVALID"]);
    const hanging = await call("/device/h?fail=hang");
    expect(hanging.status).toBe(504);
    expect(["CALL_TIMEOUT", "LIMIT_WALL"]).toContain(((await hanging.json()) as { error: { code: string } }).error.code);
  });

  it("handles what a caller who has gone asked for", async () => {
    const { hostname, port } = new URL(server.address);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    const handled = core.stats("device").handled;
    socket.write(`GET /fn/device/gone HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`, () => socket.destroy());
    await eventually(() => expect(core.stats("device").handled).toBeGreaterThan(handled));
    expect(await (await call("/device/gone")).json()).toMatchObject({ n: 2 });
  });
});

describe("a route that only accepts", () => {
  it("gives 202 with the id of the message", async () => {
    const response = await call("/later", { method: "POST", body: "text", headers: { "content-type": "text/plain" } });
    expect(response.status).toBe(202);
    const { id } = (await response.json()) as { id: string };
    expect(id).toBe(response.headers.get("x-millrace-message"));
    await core.drained();
    expect(core.published).toMatchObject([{ topic: `later/${id.split(":")[1]}`, text: "text" }]);
    expect(core.stats("later")).toMatchObject({ published: 1, deadLettered: 0 });
  });
});

describe("what is no call", () => {
  it.each([
    ["GET", "/devise/a", 404, "NOT_FOUND", 'did you mean "/fn/device/:id"?'],
    ["GET", "/", 404, "NOT_FOUND", "no function answers"],
    ["DELETE", "/device/a", 405, "METHOD_UNKNOWN", "answers GET, HEAD, POST"],
    ["GET", "/later", 405, "METHOD_UNKNOWN", "answers POST"],
    ["GET", "/device/%ff", 400, "REQUEST_INVALID", "percent-encoded"],
    ["GET", "/device/", 404, "NOT_FOUND", "no function answers"],
  ])("%s %s is refused with %i", async (method, path, status, code, message) => {
    const response = await call(path, { method });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: expect.stringContaining(message) as string } });
    expect(response.headers.get("allow")).toBe(status === 405 ? `${message.slice("answers ".length)}, OPTIONS` : null);
  });

  it("a text in a path goes before a parameter", async () => {
    expect(await (await call("/device/all")).json()).toEqual([]);
  });

  it("a body over the limit is 413", async () => {
    const response = await call("/later", { method: "POST", body: Buffer.alloc(2 * 1024 * 1024) });
    expect(response.status).toBe(413);
  });

  it("pages of other sites are refused, those of the gateway are not", async () => {
    for (const headers of [{ origin: "https://example.com" }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
      expect((await call("/device/all", { headers })).status).toBe(403);
    }
    expect((await call("/device/all", { headers: { origin: server.address } })).status).toBe(200);
  });
});

describe("routes of two functions", () => {
  it("may not be the same", async () => {
    const taken = functionOf({ name: "taken", triggers: [], also: [{ http: "POST,PUT /device/:key", answer: "sync" }], handler: "" });
    await expect(core.deploy(taken)).rejects.toMatchObject({
      code: "ROUTE_TAKEN",
      message: expect.stringContaining('"device" answers') as string,
    });
    expect(core.runtime.stats().functions.find(({ name }) => name === "taken")).toMatchObject({ state: "failed" });
    expect(await (await call("/device/still")).json()).toMatchObject({ n: 1 });
  });
});
