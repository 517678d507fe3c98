import { Agent, request } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../../src/core/log.ts";
import { FOLLOWERS_MAX } from "../../../src/http/follow.ts";
import { NO_USAGE } from "../../../src/core/usage.ts";
import { metricsText } from "../../../src/http/metrics.ts";
import { type HttpServer, startHttp } from "../../../src/http/server.ts";
import { Parts, STATS } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let parts: Parts;
let http: HttpServer;

beforeEach(async () => {
  parts = new Parts();
  http = await startHttp({ host: "127.0.0.1", port: 0, payloadBytesMax: 1000 }, parts, { logger: silentLogger });
});
afterEach(() => http.close());

async function get(path: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(http.address + path);
  return { status: answer.status, body: await answer.json() };
}

async function invoke(name: string, body: unknown, type = "application/json"): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${http.address}/v1/functions/${name}/invoke`, {
    method: "POST",
    headers: { "content-type": type },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/** The lines of a log stream as they come. */
async function* lines(path: string, signal?: AbortSignal): AsyncGenerator {
  const answer = await fetch(http.address + path, signal === undefined ? {} : { signal });
  expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
  let rest = "";
  for await (const chunk of (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const split = (rest + chunk).split("\n");
    rest = split.pop() ?? "";
    for (const line of split) yield JSON.parse(line);
  }
}

describe("the gateway's HTTP", () => {
  it("says that it lives, and whether it is ready", async () => {
    expect(await get("/healthz")).toEqual({ status: 200, body: { status: "ok", program: "millrace gateway", gateway: "milan-1" } });
    expect(await get("/readyz")).toMatchObject({ status: 200 });
    parts.isReady = false;
    expect(await get("/readyz")).toMatchObject({ status: 503 });
  });

  it("gives stats and functions", async () => {
    expect(await get("/v1/stats")).toEqual({ status: 200, body: STATS });
    expect(await get("/v1/functions")).toEqual({ status: 200, body: STATS.functions });
    expect(await get("/v1/dead-letters?function=normalize&limit=3")).toEqual({ status: 200, body: [] });
  });

  it("gives what functions have used, since when somebody wants it", async () => {
    const now = Date.now();
    const { body } = await get("/v1/usage/hours");
    expect(body).toEqual([{ time: 0, function: "normalize", invocations: 3, errors: 1, cpuMs: 2.5, gbSeconds: 0.5 }]);
    expect(await get("/v1/usage/samples?ms=60000")).toEqual({ status: 200, body: [] });
    const [hours, samples] = parts.asked;
    expect(hours?.kind).toBe("hours");
    expect(hours?.from).toBeGreaterThanOrEqual(now - 23 * 3_600_000);
    expect(samples?.kind).toBe("samples");
    expect(samples?.from).toBeGreaterThanOrEqual(now - 60_000);
  });

  it("gives metrics that Prometheus can read", async () => {
    const answer = await fetch(`${http.address}/metrics`);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await answer.text();
    expect(text).toContain("# TYPE millrace_messages_received_total counter\nmillrace_messages_received_total 1000\n");
    expect(text).toContain('\nmillrace_function_handled_total{function="normalize"} 780\n');
    expect(text).toContain(`# TYPE millrace_function_start_seconds summary
millrace_function_start_seconds_sum{function="normalize",phase="isolate"} 0.0025
millrace_function_start_seconds_count{function="normalize",phase="isolate"} 4
millrace_function_start_seconds_sum{function="normalize",phase="compile"} 0.00125
millrace_function_start_seconds_count{function="normalize",phase="compile"} 4
millrace_function_start_seconds_sum{function="normalize",phase="init"} 0.006
millrace_function_start_seconds_count{function="normalize",phase="init"} 4
millrace_function_start_seconds_sum{function="normalize",phase="first_call"} 0.0015
millrace_function_start_seconds_count{function="normalize",phase="first_call"} 3
`);
    expect(text).toContain('\nmillrace_function_starts_pooled_total{function="normalize"} 3\n');
    for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) millrace_\w+ .+|millrace_\w+(\{.*\})? -?[\d.]+)$/);
  });

  it("gives histograms, errors by code and the age of what waits to Prometheus, for the version that runs", () => {
    const text = metricsText(STATS);
    const by = 'function="normalize",version="3"';
    expect(text).toContain(`# TYPE millrace_function_duration_seconds histogram
millrace_function_duration_seconds_bucket{${by},le="0.00001"} 0
millrace_function_duration_seconds_bucket{${by},le="0.000025"} 700
millrace_function_duration_seconds_bucket{${by},le="0.00005"} 780
`);
    expect(text).toContain(`millrace_function_duration_seconds_bucket{${by},le="+Inf"} 785
millrace_function_duration_seconds_sum{${by}} 0.3
millrace_function_duration_seconds_count{${by}} 785
`);
    // What is above the last bound is only in the last bucket.
    expect(text).toContain(
      `millrace_function_cpu_seconds_bucket{${by},le="10"} 780\nmillrace_function_cpu_seconds_bucket{${by},le="+Inf"} 785\n`,
    );
    expect(text).toContain(`millrace_function_errors_total{${by},code="LIMIT_CPU"} 2\n`);
    expect(text).toContain('\nmillrace_function_oldest_message_age_seconds{function="normalize"} 2.5\n');
    expect(text).toContain(`\nmillrace_function_received_bytes_total{${by}} 80000\n`);
    // Nothing waits, nobody has looked yet, and it has done nothing: a function costs no more series than it has something to say.
    const functions = STATS.functions.map(({ oldestAgeMs: _age, stateBytes: _state, ...rest }) => ({ ...rest, usage: NO_USAGE }));
    const quiet = metricsText({ ...STATS, functions });
    expect(quiet).toContain('\nmillrace_function_oldest_message_age_seconds{function="normalize"} 0\n');
    expect(quiet).not.toMatch(/^millrace_function_(state_bytes|cpu_seconds_bucket)/m);
  });

  it("counts in the metrics what was dropped, by function and reason", () => {
    const head = /\n# HELP millrace_dropped_total .+\n# TYPE millrace_dropped_total counter\n/;
    expect(metricsText(STATS)).toMatch(new RegExp(`${head.source}$`));
    const drops = [
      { function: "normalize", reason: "outbox-replaced", count: 3 },
      { function: "normalize", reason: "outbox-expired", count: 12 },
      { function: "alert", reason: "outbox-replaced", count: 1 },
    ] as const;
    const text = metricsText({ ...STATS, drops });
    expect(text).toMatch(head);
    expect(text.match(/^millrace_dropped_total\{.*$/gm)).toEqual([
      'millrace_dropped_total{function="normalize",reason="outbox-replaced"} 3',
      'millrace_dropped_total{function="normalize",reason="outbox-expired"} 12',
      'millrace_dropped_total{function="alert",reason="outbox-replaced"} 1',
    ]);
  });

  it("escapes what a metric label cannot contain", () => {
    expect(metricsText({ ...STATS, gateway: 'a"b\\c\nd' })).toContain('millrace_info{gateway="a\\"b\\\\c\\nd",version="0.1.0"} 1\n');
  });

  it.each([
    ["/nothing", 404, "NOT_FOUND"],
    ["/v1/logs?level=loud", 400, "REQUEST_INVALID"],
    ["/v1/usage/hours?hours=169", 400, "REQUEST_INVALID"],
    ["/v1/usage/samples?ms=9999", 400, "REQUEST_INVALID"],
    ["/v1/logs?limit=0", 400, "REQUEST_INVALID"],
    ["/v1/logs?limt=5", 400, "REQUEST_INVALID"],
    ["/v1/logs?after=-1", 400, "REQUEST_INVALID"],
    ["/v1/dead-letters?limit=x", 400, "REQUEST_INVALID"],
    ["/v1/clients?limit=0", 400, "REQUEST_INVALID"],
    ["/v1/clients?usr=a", 400, "REQUEST_INVALID"],
    ["/v1/dead-letters?function=missing", 404, "NOT_FOUND"],
  ])("refuses %s", async (path, status, code) => {
    expect(await get(path)).toEqual({ status, body: { error: { code, message: expect.any(String), hint: expect.any(String) } } });
  });
});

describe("invoke", () => {
  it("hands a message with text or bytes to the function", async () => {
    expect(await invoke("normalize", { topic: "a/b", payload: "{}" })).toMatchObject({ status: 200, body: { ok: true } });
    expect(await invoke("normalize", { topic: "a/b", payloadBase64: "AP8=", qos: 0 })).toMatchObject({ status: 200 });
    expect(
      parts.invoked.map(({ name, message }) => [name, message.topic, message.qos, [...message.payload], message.source, message.hops]),
    ).toEqual([
      ["normalize", "a/b", 1, [...Buffer.from("{}")], "http", 0],
      ["normalize", "a/b", 0, [0, 255], "http", 0],
    ]);
  });

  it.each([
    ["normalise", { topic: "a", payload: "" }, 404, /normalise.*did you mean "normalize"/],
    ["normalize", { topic: "a" }, 400, /exactly one of payload/],
    ["normalize", { topic: "a", payload: "", payloadBase64: "" }, 400, /exactly one of payload/],
    ["normalize", { topic: "a/+", payload: "" }, 400, /wildcard/],
    ["normalize", { topic: "a", payloadBase64: "*" }, 400, /payloadBase64/],
    ["normalize", { topic: "a", payload: "", qos: 3 }, 400, /qos/],
    ["normalize", { topic: "a", payload: "x".repeat(1001) }, 400, /1001 bytes, at most 1000/],
    ["normalize", "{", 400, /not JSON/],
    ["normalize", "x".repeat(100_000), 413, /larger than any payload/],
  ])("of %s with %j is refused", async (name, body, status, message) => {
    const answer = await invoke(name, body);
    expect(answer).toMatchObject({ status, body: { error: { message: expect.stringMatching(message) } } });
    expect(parts.invoked).toEqual([]);
  });

  it("refuses a body that a web page could send without asking", async () => {
    expect(await invoke("normalize", { topic: "a", payload: "" }, "text/plain")).toMatchObject({ status: 400 });
  });

  it("answers an operating error with its code and a bug without its inside", async () => {
    expect(await invoke("normalize", { topic: "closed", payload: "" })).toMatchObject({
      status: 503,
      body: { error: { code: "JOURNAL_CLOSED" } },
    });
    const bug = await invoke("normalize", { topic: "crash", payload: "" });
    expect(bug).toMatchObject({ status: 500, body: { error: { code: "INTERNAL" } } });
    expect(JSON.stringify(bug)).not.toContain("secret");
  });
});

describe("logs", () => {
  it("are filtered and paged", async () => {
    for (let n = 0; n < 5; n++) parts.log({ level: n % 2 === 0 ? "info" : "error", message: `m${n}` });
    parts.log({ function: "other" });
    expect(await get("/v1/logs?function=normalize&limit=2")).toMatchObject({ body: { records: [{ n: 4 }, { n: 5 }], next: 6 } });
    expect(await get("/v1/logs?after=1&level=error&limit=1")).toMatchObject({ body: { records: [{ n: 2 }], next: 2 } });
    expect(await get("/v1/logs?after=2&level=error")).toMatchObject({ body: { records: [{ n: 4 }], next: 6 } });
  });

  it("are followed from the newest on, without those that were not asked for", async () => {
    parts.log({ message: "before" });
    const stream = lines("/v1/logs?follow=1&function=normalize");
    expect((await stream.next()).value).toMatchObject({ n: 1, message: "before" });
    parts.log({ function: "other" });
    parts.log({ message: "after" });
    expect((await stream.next()).value).toMatchObject({ n: 3, message: "after" });
    await stream.return(undefined);
    await eventually(() => expect(parts.waiting).toBe(0));
  });

  it("of a follower that has gone are not waited for any more, and its place is free again", async () => {
    for (let round = 0; round < 2; round++) {
      const leave = new AbortController();
      const streams = Array.from({ length: FOLLOWERS_MAX }, () => lines("/v1/logs?follow=1&after=0", leave.signal));
      const firsts = streams.map((stream) => stream.next());
      await eventually(() => expect(parts.waiting).toBe(FOLLOWERS_MAX));
      expect(await get("/v1/logs?follow=1")).toMatchObject({ status: 503, body: { error: { code: "TOO_MANY_FOLLOWERS" } } });
      leave.abort();
      await Promise.allSettled(firsts);
      await eventually(() => expect(parts.waiting).toBe(0));
    }
  });

  it("reach a client that reads slowly completely and in order", async () => {
    const total = 3_000;
    for (let n = 0; n < total; n++) parts.log({ message: "x".repeat(1_000) });
    const seen: number[] = [];
    for await (const record of lines("/v1/logs?follow=1&after=0")) {
      seen.push((record as { n: number }).n);
      if (seen.length === total) break;
    }
    expect(seen).toEqual(Array.from({ length: total }, (_, index) => index + 1));
  });
});

describe("the server", () => {
  it("names the port that is in use", async () => {
    const port = Number(new URL(http.address).port);
    await expect(startHttp({ host: "127.0.0.1", port }, parts, { logger: silentLogger })).rejects.toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  it("names an address that is not of this machine", async () => {
    await expect(startHttp({ host: "192.0.2.1", port: 0 }, parts, { logger: silentLogger })).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
  });

  it("ends followers, idle and half-open connections when it closes, once", async () => {
    const stream = lines("/v1/logs?follow=1&after=0");
    const first = stream.next();
    const agent = new Agent({ keepAlive: true });
    const [answer] = await once(request(`${http.address}/healthz`, { agent }).end(), "response");
    answer.resume();
    const half = connect(Number(new URL(http.address).port), "127.0.0.1");
    await once(half, "connect");
    half.write("GET /healthz HTTP/1.1\r\n");
    const halfClosed = Promise.withResolvers<void>();
    half.on("error", () => undefined).on("close", () => halfClosed.resolve());
    await eventually(() => expect(parts.waiting).toBe(1));
    const start = performance.now();
    await Promise.all([http.close(), http.close()]);
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(await first).toEqual({ done: true, value: undefined });
    await halfClosed.promise;
    await expect(fetch(`${http.address}/healthz`)).rejects.toThrow("fetch failed");
    agent.destroy();
  });
});
