import { defineFunction, PermanentError } from "millrace";
import { type FunctionHarness, isPermanent, testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";

const MANIFEST = `
name: counter
api: 1
triggers:
  - mqtt: sensors/+site/+device/temp
  - mqtt: raw/+device
key: device
permissions: {publish: [cmd/+/fan], emit: [count]}
limits: {output: 1KB, stateValue: 1KB}
env: {UNIT: Cel, HIGH: "80"}
`;
const TOPIC = "sensors/milan/boiler-1/temp";

/** Runs one handler on one message and hands out what it saw. */
async function seen<T>(
  look: (...args: Parameters<Parameters<typeof defineFunction>[0]["handler"]>) => T | Promise<T>,
  message: object = {},
): Promise<T> {
  let result: { value: T } | undefined;
  const run = testFunction(
    defineFunction({
      async handler(event, ctx) {
        result = { value: await look(event, ctx) };
      },
    }),
    { manifest: MANIFEST, env: { HIGH: "90" } },
  );
  await run.send({ topic: TOPIC, payload: { v: 1 }, ...message });
  if (result === undefined) throw new Error("the handler did not run");
  return result.value;
}

const counter = defineFunction<{ by?: number; fail?: boolean }>({
  async handler(event, ctx) {
    const count = ((await ctx.state.get<number>("count")) ?? 0) + (event.data.by ?? 1);
    ctx.state.set("count", count);
    ctx.emit("count", { count });
    ctx.publish(`cmd/${event.params["device"]}/fan`, { count });
    ctx.log.info("counted", { count });
    if (event.data.fail === true) throw new Error("told to fail");
  },
});

describe("init", () => {
  it("runs once before the first message, with what belongs to no message", async () => {
    const found: unknown[] = [];
    const run = testFunction(
      defineFunction({
        async init(ctx) {
          await Promise.resolve();
          ctx.log.info("made", { high: ctx.env["HIGH"] });
          found.push(Object.keys(ctx).toSorted(), ctx.function);
        },
        handler: (event) => void found.push(event.subject),
      }),
      { manifest: MANIFEST },
    );
    await run.sendAll([{ topic: TOPIC }, { topic: "raw/a" }]);
    expect(found).toEqual([["env", "function", "log", "secret"], { name: "counter", version: 1 }, TOPIC, "raw/a"]);
    expect(run.all.logs).toEqual([{ level: "info", message: "made", fields: { high: "80" } }]);
  });

  it("that fails handles nothing, and is tried again", async () => {
    let fails = true;
    const run = testFunction(
      defineFunction({
        init: () => {
          if (fails) throw new Error("no table");
        },
        handler: (_event, ctx) => ctx.emit("count", {}),
      }),
      { manifest: MANIFEST },
    );
    await expect(run.send({ topic: TOPIC })).rejects.toThrow("no table");
    fails = false;
    expect((await run.send({ topic: TOPIC })).events).toHaveLength(1);
  });
});

describe("a key in the payload", () => {
  it("scopes the state, and is missing from a message without it", async () => {
    const run = testFunction(counter, { manifest: MANIFEST.replace("key: device", "key: data.by") });
    await run.send({ topic: TOPIC, payload: { by: 2 } });
    await run.send({ topic: TOPIC, payload: { by: 2 } });
    expect(run.state("2")).toEqual({ count: 4 });
    await expect(run.send({ topic: TOPIC, payload: {} })).rejects.toMatchObject({ code: "KEY_MISSING" });
  });
});

describe("a batch", () => {
  const manifest = MANIFEST.replace("key: device", "key: device\nbatch: {size: 10}\nretry: {attempts: 1}\nonFailure: {emit: count}");
  const run = (): FunctionHarness =>
    testFunction(
      defineFunction<number>({
        async batch(events, ctx) {
          if (events.some(({ data }) => data === 0)) throw new Error("zero");
          const good = events.filter(({ data }) => data > 0);
          for (const event of good) {
            const { state } = ctx.of(event);
            state.set("n", ((await state.get<number>("n")) ?? 0) + event.data);
          }
          ctx.log.info("sum");
          ctx.emit("count", good.length);
          return { failed: events.filter(({ data }) => data < 0) };
        },
      }),
      { manifest },
    );

  it("is one call, with the state of each key", async () => {
    const harness = run();
    const result = await harness.sendBatch([1, 2, -1, 3].map((payload, n) => ({ topic: `raw/${n % 3}`, payload, time: n })));
    expect(result).toMatchObject({
      events: [{ type: "count", data: 3, time: 3, subject: "raw/0" }],
      failed: ["test:3"],
      logs: [{ message: "sum" }],
    });
    expect([harness.state("0"), harness.state("1"), harness.state("2")]).toEqual([{ n: 4 }, { n: 2 }, {}]);
    expect(harness.all.events).toMatchObject([{ data: 3 }, { data: { topic: "raw/2", error: "batch returned it as failed" } }]);
  });

  it("with one message is what send makes of it", async () => {
    const harness = run();
    expect((await harness.send({ topic: "raw/a", payload: 1 })).events).toMatchObject([{ data: 1 }]);
    await expect(harness.send({ topic: "raw/a", payload: 0 })).rejects.toThrow("zero");
    expect(harness.state("a")).toEqual({ n: 1 });
  });

  it("that answers with what a gateway could not take is refused", async () => {
    const harness = testFunction(defineFunction({ batch: ([first]) => ({ failed: first === undefined ? [] : [first] }) }), { manifest });
    await expect(harness.sendBatch([1, 2].map((payload) => ({ topic: "raw/a", payload })))).rejects.toThrow("not those behind it");
    const other = testFunction(defineFunction({ batch: () => ({ failed: [{ id: "x" }] }) }), { manifest });
    await expect(other.send({ topic: "raw/a" })).rejects.toThrow('returned "x" as failed');
  });
});

describe("onFailure", () => {
  const manifest = MANIFEST.replace("permissions: {publish: [cmd/+/fan], emit: [count]}", "").concat(
    "onFailure: {publish: errors/counter, emit: failed}\nretry: {attempts: 2}\npermissions: {publish: [errors/counter]}\n",
  );

  it("is there when the last try has failed, or one for good", async () => {
    const run = testFunction(
      defineFunction({
        handler: (event) => {
          throw event.text === "bad" ? new PermanentError("bad") : new Error("later");
        },
      }),
      { manifest },
    );
    await expect(run.send({ topic: TOPIC, payload: "x" })).rejects.toThrow("later");
    expect(run.all).toMatchObject({ publishes: [], events: [] });
    await expect(run.send({ topic: TOPIC, payload: "x", attempt: 2, time: 5 })).rejects.toThrow("later");
    await expect(run.send({ topic: TOPIC, payload: "bad" })).rejects.toThrow("bad");
    expect(run.all.publishes.map(({ topic, payload }) => ({ topic, payload }))).toMatchObject([
      { topic: "errors/counter", payload: { attempts: 2, code: "FUNCTION_THREW", error: "later", key: "boiler-1", time: 5, payload: "x" } },
      { topic: "errors/counter", payload: { attempts: 1, error: "bad", payload: "bad" } },
    ]);
    expect(run.all.events).toMatchObject([
      { type: "failed", subject: TOPIC, data: { error: "later" } },
      { type: "failed", data: { error: "bad" } },
    ]);
  });
});

describe("the event of a test", () => {
  it("has what the message and the manifest say", async () => {
    const properties = { contentType: "application/json", user: { a: ["1", "2"] } };
    const event = await seen(
      ({ id, source, type, subject, time, data, text, bytes, params, mqtt, attempt }) => ({
        id,
        source,
        type,
        subject,
        time,
        data,
        text,
        bytes,
        params,
        mqtt,
        attempt,
      }),
      {
        qos: 2,
        retain: true,
        time: 1_700_000_000_000,
        source: "boiler-1",
        attempt: 3,
        properties,
      },
    );
    expect(event).toEqual({
      id: "test:1",
      source: "boiler-1",
      type: "mqtt",
      subject: TOPIC,
      time: 1_700_000_000_000,
      data: { v: 1 },
      text: '{"v":1}',
      bytes: new TextEncoder().encode('{"v":1}'),
      params: { site: "milan", device: "boiler-1" },
      mqtt: { topic: TOPIC, qos: 2, retain: true, properties },
      attempt: 3,
    });
  });

  it("decodes data by content type, JSON when there is none", async () => {
    const data = (payload: string, contentType?: string) =>
      seen((event) => event.data, { payload, ...(contentType === undefined ? {} : { properties: { contentType } }) });
    expect(await data("[1]")).toEqual([1]);
    expect(await data("[1]", "text/plain")).toBe("[1]");
    expect(await data("[1]", "application/octet-stream")).toEqual(new TextEncoder().encode("[1]"));
    await expect(data("[1")).rejects.toMatchObject({ code: "PAYLOAD_INVALID", message: expect.stringContaining(TOPIC) });
    expect(await seen((event) => event.text, { payload: "[1" })).toBe("[1");
  });

  it("decodes data once", async () => {
    expect(await seen((event) => event.data === event.data)).toBe(true);
  });

  it("takes params from the first trigger that matches, and more by hand", async () => {
    expect(await seen((event) => event.params, { topic: "raw/x", params: { line: "7" } })).toEqual({ device: "x", line: "7" });
  });
});

describe("the context of a test", () => {
  it("has the env of the manifest under that of the test, the time of the message and names", async () => {
    const before = Date.now();
    const self = await seen(
      (_event, ctx) => ({ env: ctx.env, now: ctx.now(), deadline: ctx.deadline, invocation: ctx.invocation, function: ctx.function }),
      { time: 5, attempt: 2 },
    );
    expect(self).toMatchObject({ env: { UNIT: "Cel", HIGH: "90" }, now: 5, invocation: "1.2", function: { name: "counter", version: 1 } });
    expect(self.deadline).toBeGreaterThanOrEqual(before + 5_000);
  });

  it("lets a handler read its own writes, as copies", async () => {
    const list = await seen(async (_event, { state }) => {
      const value = { inner: [1] };
      state.set("a", value);
      value.inner.push(2);
      const first = await state.get<{ inner: number[] }>("a");
      first?.inner.push(3);
      const second = await state.get("a");
      state.delete("a");
      return [second, await state.get("a")];
    });
    expect(list).toEqual([{ inner: [1] }, undefined]);
  });

  it.each<[string, Parameters<typeof seen>[0], string]>([
    [
      "publishing where it may not",
      (_event, ctx) => ctx.publish("alarm", 1),
      'permissions.publish of function.yaml does not allow "alarm"',
    ],
    ["publishing to a filter", (_event, ctx) => ctx.publish("cmd/+/fan", 1), "a wildcard or NUL character is not allowed"],
    ["emitting what it may not", (_event, ctx) => ctx.emit("alarm", 1), 'permissions.emit of function.yaml does not allow "alarm"'],
    ["emitting without a type", (_event, ctx) => ctx.emit("", 1), "1 to 200 characters"],
    [
      "a state value that is too large",
      (_event, ctx) => ctx.state.set("a", "x".repeat(1_023)),
      'function "counter", key "boiler-1": the state value "a" is over limits.stateValue, 1KB',
    ],
    [
      "too much output",
      (_event, ctx) => [1, 2, 3].forEach(() => ctx.publish("cmd/a/fan", "x".repeat(400))),
      "one message produced more than 1KB",
    ],
    [
      "too many effects",
      (_event, ctx) => Array.from({ length: 101 }, (_, i) => (i % 2 === 0 ? ctx.publish("cmd/a/fan", "") : ctx.state.set(`n${i}`, 1))),
      "one message produced more than 100 publishes, events and stored values; limits.output allows one for each KB",
    ],
    ["what JSON cannot hold", (_event, ctx) => ctx.emit("count", () => 1), "function is not a JSON value"],
  ])("refuses %s", async (_what, look, reason) => {
    await expect(seen(look)).rejects.toThrow(reason);
  });
});

const harness = () => testFunction(counter, { manifest: MANIFEST });

describe("testFunction", () => {
  it("keeps state by key and hands out what each message did", async () => {
    const run = harness();
    await run.send({ topic: TOPIC, payload: {} });
    const second = await run.send({ topic: "raw/boiler-1", payload: { by: 10 }, time: 7 });
    expect(second).toEqual({
      publishes: [{ topic: "cmd/boiler-1/fan", payload: { count: 11 }, qos: 1, retain: false }],
      events: [{ type: "count", subject: "raw/boiler-1", time: 7, data: { count: 11 } }],
      logs: [{ level: "info", message: "counted", fields: { count: 11 } }],
    });
    expect((await run.send({ topic: "raw/boiler-2", payload: {} })).events).toMatchObject([{ data: { count: 1 } }]);
    expect(run.state("boiler-1")).toEqual({ count: 11 });
    expect(run.all.events).toHaveLength(3);
  });

  it("drops everything but the logs of a handler that throws", async () => {
    const run = testFunction(counter, { manifest: MANIFEST, state: { "boiler-1": { count: 5 } } });
    await expect(run.send({ topic: TOPIC, payload: { fail: true } })).rejects.toThrow("told to fail");
    expect(run.state("boiler-1")).toEqual({ count: 5 });
    expect(run.all).toMatchObject({ publishes: [], events: [], logs: [{ message: "counted" }] });
    expect((await run.send({ topic: TOPIC, payload: {} })).events).toMatchObject([{ data: { count: 6 } }]);
  });

  it("handles messages in the order of the calls, one after the other", async () => {
    const run = harness();
    const sent = [1, 2, 3].map((by) => run.send({ topic: TOPIC, payload: { by, fail: by === 2 } }));
    expect((await Promise.allSettled(sent)).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(run.all.events.map(({ data }) => data)).toEqual([{ count: 1 }, { count: 4 }]);
  });

  it("says in a last line how many lines of a message are left out, and counts anew for the next", async () => {
    const chatty = defineFunction<{ lines: number }>({
      handler: (event, ctx) => {
        for (let n = 1; n <= event.data.lines; n++) ctx.log.info(`line ${n}`);
      },
    });
    const run = testFunction(chatty);
    const { logs } = await run.send({ topic: "a", payload: { lines: 250 } });
    expect(logs).toHaveLength(101);
    expect(logs.at(-2)).toEqual({ level: "info", message: "line 100" });
    expect(logs.at(-1)).toEqual({ level: "warn", message: "LIMIT_LOG: 150 more lines of this message are left out" });
    expect((await run.send({ topic: "a", payload: { lines: 100 } })).logs.at(-1)).toEqual({ level: "info", message: "line 100" });
    expect((await run.send({ topic: "a", payload: { lines: 101 } })).logs.at(-1)?.message).toMatch(/^LIMIT_LOG: 1 more/);
  });

  it("refuses a topic that wakes nothing", async () => {
    await expect(harness().send({ topic: "other", payload: {} })).rejects.toThrow('no trigger of function "counter" matches topic "other"');
  });

  it("lets everything pass without a manifest", async () => {
    const { publishes } = await testFunction(defineFunction({ handler: (event, ctx) => ctx.publish("any/where", event.bytes) })).send({
      topic: "a",
    });
    expect(publishes).toEqual([{ topic: "any/where", payload: new Uint8Array(), qos: 1, retain: false }]);
  });

  it("says which failures are not tried again", async () => {
    expect(isPermanent(new PermanentError("no"))).toBe(true);
    expect(isPermanent(await seen((event) => event.data, { payload: "?" }).catch((error: unknown) => error))).toBe(true);
    expect(isPermanent(new Error("maybe"))).toBe(false);
  });
});
