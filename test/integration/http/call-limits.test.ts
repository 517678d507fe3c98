import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CALLS_MAX, type CallReply, type CallRequest, type CallTarget } from "../../../src/core/http-call.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { CallPlaces } from "../../../src/http/call-places.ts";
import type { FunctionCalls } from "../../../src/http/parts.ts";
import { type HttpServer, startHttp } from "../../../src/http/server.ts";
import { eventually } from "../../support/eventually.ts";
import { RawClient } from "../../support/raw-client.ts";
import { Parts } from "./support.ts";

const BODY_MAX = 64 * 1024;
const BYTES_MAX = 128 * 1024;

/** Functions that answer when the test says so. */
class Calls implements FunctionCalls {
  readonly asked: CallRequest[] = [];
  /** Of requests that wait for their answer; aborted ones have gone. */
  readonly waiting: { readonly signal: AbortSignal; readonly answer: (body: Uint8Array) => void }[] = [];
  /** Answers at once with what came. */
  echoes = true;

  find(method: string, [first = ""]: readonly string[]): CallTarget {
    if (first !== "f") return { kind: "none" };
    const allow = ["GET", "POST"];
    return allow.includes(method) ? { kind: "found", function: "f", trigger: 0 } : { kind: "method", allow };
  }

  call(_target: unknown, request: CallRequest, signal: AbortSignal): Promise<CallReply> {
    this.asked.push(request);
    const { promise, resolve, reject } = Promise.withResolvers<CallReply>();
    const answer = (body: Uint8Array): void =>
      resolve({ id: "g:1", result: { kind: "answer", answer: { status: 200, headers: [["content-type", "text/plain"]], body } } });
    signal.addEventListener("abort", () => reject(signal.reason as Error));
    if (this.echoes) answer(request.body);
    else this.waiting.push({ signal, answer });
    return promise;
  }
}

let calls: Calls;
let places: CallPlaces;
let server: HttpServer;
let clients: RawClient[] = [];

async function open(): Promise<RawClient> {
  const client = await RawClient.open(server.address);
  clients.push(client);
  return client;
}

async function serve(requestTimeoutMs: number): Promise<void> {
  places = new CallPlaces(BYTES_MAX);
  const options = { host: "127.0.0.1", port: 0, payloadBytesMax: BODY_MAX, places, requestTimeoutMs };
  calls = new Calls();
  server = await startHttp(options, Object.assign(new Parts(), { calls }), { logger: silentLogger });
}

beforeEach(() => serve(60_000));

afterEach(async () => {
  for (const { socket } of clients) socket.destroy();
  clients = [];
  await server.close();
});

async function refused(): Promise<string> {
  const answer = await fetch(`${server.address}/fn/f`, { method: "POST", body: "x" });
  const { error } = (await answer.json()) as { error: { code: string } };
  return `${answer.status} ${error.code} ${answer.headers.get("retry-after")}`;
}

const BUSY = "503 TOO_MANY_CALLS 5";

describe("a body that comes slowly", () => {
  it("is given up with 408, and nobody is asked to answer it", async () => {
    await server.close();
    await serve(300);
    const client = await open();
    client.head("POST", "/fn/f", "Content-Length: 50");
    const drip = setInterval(() => client.send("x"), 20);
    expect(await client.answered()).toBe(408);
    clearInterval(drip);
    expect(client.got).toMatch(/\r\nconnection: close\r\n/i);
    expect(client.got).toMatch(/"code":"REQUEST_TIMEOUT".*of 50 bytes of the body had come/);
    await client.closed();
    expect(calls.asked).toEqual([]);
    await eventually(() => expect(places.stats).toEqual({ open: 0, bodyBytes: 0, refused: 0, late: 1 }));
  });

  it("is given up too when no length was said", async () => {
    await server.close();
    await serve(200);
    const client = await open();
    client.head("POST", "/fn/f", "Transfer-Encoding: chunked");
    client.send("1", "x", "");
    expect(await client.answered()).toBe(408);
    await client.closed();
  });

  it("counts against those who come after it, until its client goes", async () => {
    const slow = await Promise.all([1, 2].map(() => open()));
    for (const client of slow) client.head("POST", "/fn/f", `Content-Length: ${BODY_MAX}`);
    await eventually(async () => expect(await refused()).toBe(BUSY));
    slow[0]?.socket.destroy();
    await eventually(async () => expect((await fetch(`${server.address}/fn/f`, { method: "POST", body: "x" })).status).toBe(200));
  });
});

describe("a body that is too large", () => {
  it("is refused with 413 by what it says, before any of it comes", async () => {
    const client = await open();
    client.head("POST", "/fn/f", `Content-Length: ${BODY_MAX + 1}`);
    expect(await client.answered()).toBe(413);
    await client.closed();
  });

  it("is refused with 413 in the middle when it comes in pieces", async () => {
    const client = await open();
    client.head("POST", "/fn/f", "Transfer-Encoding: chunked");
    const piece = "x".repeat(4_096);
    const flood = setInterval(() => client.send("1000", piece, ""), 1);
    expect(await client.answered()).toBe(413);
    clearInterval(flood);
    await client.closed();
    expect(calls.asked).toEqual([]);
  });

  it("may come a byte a chunk, up to the bound", async () => {
    const client = await open();
    client.head("POST", "/fn/f", "Transfer-Encoding: chunked");
    client.send(`${"1\r\nx\r\n".repeat(BODY_MAX)}0`, "", "");
    expect(await client.answered()).toBe(200);
    expect(calls.asked[0]?.body.length).toBe(BODY_MAX);
    // One piece, and not a view of the many that came.
    expect(calls.asked[0]?.body.buffer.byteLength).toBeLessThanOrEqual(BODY_MAX);
  });
});

describe("what comes before a body", () => {
  it("is bounded in time and length", async () => {
    const [silent, long] = await Promise.all([open(), open()]);
    long.send("GET /fn/f HTTP/1.1", "Host: x", `X-Long: ${"x".repeat(20_000)}`, "", "");
    expect(await long.answered()).toBe(431);
    silent.send("GET /fn/f HTTP/1.1", "Host:");
    await eventually(() => expect(silent.got).toMatch(/^HTTP\/1\.1 408 /), { timeout: 20_000 });
    await silent.closed();
  }, 30_000);
});

describe("requests that are open", () => {
  it("have a bound, and one whose caller goes makes room", async () => {
    calls.echoes = false;
    const callers = await Promise.all(Array.from({ length: CALLS_MAX }, () => open()));
    for (const caller of callers) caller.head("GET", "/fn/f");
    await eventually(() => expect(calls.waiting.length).toBe(CALLS_MAX));
    expect(await refused()).toBe(BUSY);
    // Nothing else of the gateway waits for them.
    expect((await fetch(`${server.address}/healthz`)).status).toBe(200);
    callers[7]?.socket.destroy();
    await eventually(() => expect(calls.waiting.filter(({ signal }) => signal.aborted).length).toBe(1));
    callers.push(await open());
    callers.at(-1)?.head("GET", "/fn/f");
    await eventually(() => expect(calls.waiting.length).toBe(CALLS_MAX + 1));
    expect(await refused()).toBe(BUSY);
    for (const { answer } of calls.waiting) answer(Buffer.from("late"));
    const answered = await Promise.all(callers.filter(({ ended }) => !ended).map((caller) => caller.answered()));
    expect(new Set(answered)).toEqual(new Set([200]));
    calls.echoes = true;
    await eventually(async () => expect((await fetch(`${server.address}/fn/f`)).status).toBe(200));
  });

  it("have it on one connection as well, and all of them end with that", async () => {
    calls.echoes = false;
    const client = await open();
    for (let i = 0; i < CALLS_MAX; i++) client.head("GET", "/fn/f");
    await eventually(() => expect(calls.waiting.length).toBe(CALLS_MAX));
    expect(await refused()).toBe(BUSY);
    client.socket.destroy();
    await eventually(() => expect(calls.waiting.every(({ signal }) => signal.aborted)).toBe(true));
    await eventually(() => expect(places.stats).toMatchObject({ open: 0, bodyBytes: 0, refused: 1 }));
    calls.echoes = true;
    expect((await fetch(`${server.address}/fn/f`)).status).toBe(200);
  });

  it("end when their callers do not take the answer", async () => {
    await server.close();
    await serve(300);
    calls.echoes = false;
    const client = await open();
    client.socket.pause();
    client.head("GET", "/fn/f");
    await eventually(() => expect(calls.waiting.length).toBe(1));
    calls.waiting[0]?.answer(Buffer.alloc(32 * 1024 * 1024));
    await eventually(() => expect(calls.waiting[0]?.signal.aborted).toBe(true));
    client.socket.resume();
    await client.closed();
    expect(client.got.length).toBeLessThan(32 * 1024 * 1024);
  });
});

describe("methods that no function has", () => {
  it("HEAD is GET without the body of the answer", async () => {
    const client = await open();
    calls.echoes = false;
    client.head("HEAD", "/fn/f?a=1", "Connection: close");
    await eventually(() => expect(calls.waiting.length).toBe(1));
    calls.waiting[0]?.answer(Buffer.from("seven b"));
    await client.closed();
    expect(calls.asked).toMatchObject([{ details: { method: "GET", query: { a: "1" } } }]);
    expect(client.got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(client.got).toMatch(/\r\ncontent-length: 7\r\n/i);
    expect(client.got).toMatch(/\r\n\r\n$/);
    expect(client.got).not.toContain("seven");
  });

  it.each([
    ["OPTIONS", "/fn/f", 204],
    ["DELETE", "/fn/f", 405],
    ["TRACE", "/fn/f", 405],
    ["PROPFIND", "/fn/f", 405],
  ])("%s %s is %i, with the methods that there are", async (method, path, status) => {
    const client = await open();
    client.head(method, path, "Connection: close");
    expect(await client.answered()).toBe(status);
    expect(client.got).toMatch(/\r\nallow: GET, HEAD, POST, OPTIONS\r\n/i);
    expect(calls.asked).toEqual([]);
  });

  it("OPTIONS of a path that nobody has is 404, and a page of another site gets no permission to call", async () => {
    expect((await fetch(`${server.address}/fn/g`, { method: "OPTIONS" })).status).toBe(404);
    const headers = { origin: "https://example.com", "access-control-request-method": "POST" };
    const answer = await fetch(`${server.address}/fn/f`, { method: "OPTIONS", headers });
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([403, null]);
  });

  it("what is not HTTP is 400", async () => {
    const client = await open();
    client.send("hello", "", "");
    expect(await client.answered()).toBe(400);
    await client.closed();
  });
});

describe("a connection", () => {
  it("serves one request after another, and is closed when nothing more comes", async () => {
    const client = await open();
    client.head("GET", "/fn/f");
    expect(await client.answered()).toBe(200);
    client.got = "";
    client.head("GET", "/fn/f");
    expect(await client.answered()).toBe(200);
    expect(client.got).toMatch(/\r\nkeep-alive: timeout=5/i);
    await eventually(() => expect(client.ended).toBe(true), { timeout: 20_000 });
  }, 30_000);
});
