import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../src/core/message.ts";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench, resultsOf, type Sent } from "./engine-bench.ts";

const text = (value: string): Buffer => Buffer.from(value);
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** What every engine does, whatever it runs functions in. */
export function engineContract(make: () => Engine): void {
  loading(make);
  handling(make);
  encodings(make);
  failures(make);
  order(make);
  cuts(make);
}

function loading(make: () => Engine): void {
  describe("loading", () => {
    it("runs the code once, before the first message", async () => {
      using bench = await EngineBench.create(make(), { prelude: "let n = 0; n++;", handler: "ctx.emit('n', n);" });
      expect(await bench.run({ topic: "in/a" }, { topic: "in/b" })).toEqual([
        { status: "done", events: [1] },
        { status: "done", events: [1] },
      ]);
    });

    it.each([
      ["is not JavaScript", "var __millrace = {", /Unexpected end/],
      ["throws", "throw new Error('not today');", /not today/],
      ["exports nothing", "'nothing';", /no default export/],
      ["exports a handler that is no function", "var __millrace = { default: { handler: {} } };", /no default export/],
    ])("says so when the code %s", async (_what, code, message) => {
      await expect(EngineBench.create(make(), { handler: "", code })).rejects.toMatchObject({ message: expect.stringMatching(message) });
    });

    it("keeps instances apart, also those of the same code", async () => {
      const engine = make();
      const handler = "globalThis.n = (globalThis.n ?? 0) + 1; Object.prototype.mark = 1; ctx.emit('n', globalThis.n);";
      using first = await EngineBench.create(engine, { handler });
      using second = await EngineBench.create(engine, {
        handler: `if ({}.mark === 1) throw new Error('marked'); ctx.emit('n', typeof n);`,
      });
      expect(await first.run({ topic: "in/a" }, { topic: "in/a" })).toMatchObject([{ events: [1] }, { events: [2] }]);
      expect(await second.run({ topic: "in/a" })).toEqual([{ status: "done", events: ["undefined"] }]);
      first.instance.dispose();
      first.instance.dispose();
      expect(await second.run({ topic: "in/a" })).toEqual([{ status: "done", events: ["undefined"] }]);
    });
  });
}

function handling(make: () => Engine): void {
  describe("handling", () => {
    it("gives one result for each message, in order, with everything that it wants", async () => {
      using bench = await EngineBench.create(make(), {
        handler: `ctx.log.warn('seen', { n: event.data }); ctx.state.set('n', event.data); ctx.state.delete('old');
          ctx.emit('seen', event.data, { subject: 's' }); ctx.publish('out/' + event.params.k, { n: event.data }, { qos: 2, retain: true });`,
      });
      const results = await bench.results({ topic: "in/a", payload: json(1), hops: 3, time: 5_000 }, { topic: "in/b", payload: json(2) });
      const [first, second] = results;
      expect(results).toHaveLength(2);
      if (first?.status !== "done" || second?.status !== "done") throw new Error("not done");
      expect(first.logs).toEqual([{ level: "warn", message: "seen", fields: '{"n":1}' }]);
      expect(first.effects.state.map(({ name, value }) => [name, value?.toString()])).toEqual([
        ["n", "1"],
        ["old", undefined],
      ]);
      expect(first.effects.events).toEqual([{ type: "seen", subject: "s", data: "1" }]);
      const [record = Buffer.alloc(0)] = first.effects.publishes;
      expect(decodeMessage(record)).toMatchObject({ topic: "out/a", qos: 2, retain: true, hops: 4, time: 5_000, source: "fn:f" });
      expect(Buffer.from(decodeMessage(record).payload).toString()).toBe('{"n":1}');
      expect(second.effects.events).toEqual([{ type: "seen", subject: "s", data: "2" }]);
    });

    it("hands over everything that is known of a message", async () => {
      using bench = await EngineBench.create(make(), {
        handler: `const { id, source, type, subject, time, params, attempt, mqtt, text, data } = event;
          ctx.emit('all', { id, source, type, subject, time, params, attempt, mqtt, text, data, bytes: [...event.bytes], now: ctx.now(),
            invocation: ctx.invocation, function: ctx.function, env: ctx.env });`,
      });
      const properties = { contentType: "application/json", responseTopic: "r", user: { a: ["1", "2"] } };
      const sent = { topic: "in/a", payload: json([1]), time: 2 ** 40, source: "device-7", retain: true, attempt: 2, properties } as const;
      expect(await bench.emitted(sent)).toEqual({
        id: "g:1",
        source: "device-7",
        type: "mqtt",
        subject: "in/a",
        time: 2 ** 40,
        params: { k: "a" },
        attempt: 2,
        mqtt: { topic: "in/a", qos: 1, retain: true, properties },
        text: "[1]",
        data: [1],
        bytes: [...json([1])],
        now: 2 ** 40,
        invocation: "1.2",
        function: { name: "f", version: 1 },
        env: {},
      });
      expect(await bench.emitted({ topic: "other/x/y", trigger: 1 })).toMatchObject({ id: "g:2", params: {} });
    });

    it("begins no message before the one in front of it is finished, in one batch and over batches", async () => {
      const handler = `running.push(event.subject); if (running.length > 1) throw new Error(running.join());
        for (let i = 0; i < 5; i++) await 0; await ctx.state.get('x'); running.pop(); ctx.emit('n', ++count);`;
      using bench = await EngineBench.create(make(), { prelude: "const running = []; let count = 0;", handler });
      const topics = ["in/a", "in/b", "in/a", "in/c"].map((topic) => ({ topic }));
      expect((await bench.run(...topics)).map(({ events }) => events)).toEqual([[1], [2], [3], [4]]);
      expect((await bench.run(...topics)).map(({ events }) => events)).toEqual([[5], [6], [7], [8]]);
    });

    it("handles hundreds of batches in one instance", async () => {
      using bench = await EngineBench.create(make(), { prelude: "let n = 0;", handler: "ctx.emit('n', ++n);" });
      for (let i = 1; i <= 300; i++) expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "done", events: [i] }]);
    });

    it("keeps effects out that come too late", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "let kept;",
        handler: "kept?.emit('late', 1); kept?.log.info('late'); kept = ctx; console.log(0);",
      });
      const [first, second] = await bench.results({ topic: "in/a" }, { topic: "in/a" });
      for (const result of [first, second]) {
        if (result?.status !== "done") throw new Error("not done");
        expect(result.logs).toEqual([{ level: "info", message: "0" }]);
        expect(result.effects.events).toEqual([]);
      }
    });
  });
}

function encodings(make: () => Engine): void {
  describe("encodings", () => {
    const echo = `ctx.publish('echo', event.bytes); ctx.publish('echo', event.text); ctx.emit(event.subject, event.text, { subject: event.params.k });`;

    it("keeps text of every kind, in topics, keys, payloads and names", async () => {
      using bench = await EngineBench.create(make(), {
        handler: "ctx.state.set(event.params.k, event.text); ctx.publish('a/' + event.params.k, event.text);",
      });
      for (const word of ["plain", "Größe", "温度", "🌡️", "\u0000\u0001", "a\u0301", "\ufeff", "\u2028", '"\\'].filter(
        (one) => !one.includes("/"),
      )) {
        const topic = `in/${word.replaceAll("\0", "")}`;
        const { state: written, publishes } = await bench.effects({ topic, key: topic, payload: text(word) });
        expect(written.map(({ name, value }) => [name, JSON.parse(value?.toString() ?? "")])).toEqual([[topic.slice(3), word]]);
        const message = decodeMessage(publishes[0] ?? Buffer.alloc(0));
        expect([message.topic, Buffer.from(message.payload).toString()]).toEqual([`a/${topic.slice(3)}`, word]);
      }
    });

    it("keeps every byte of a binary payload, and reads what is no UTF-8 as U+FFFD", async () => {
      using bench = await EngineBench.create(make(), { handler: echo });
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      const { publishes } = await bench.effects({ topic: "in/a", payload: all });
      expect(Buffer.from(decodeMessage(publishes[0] ?? all).payload)).toEqual(all);
      expect(Buffer.from(decodeMessage(publishes[1] ?? all).payload).toString()).toContain("\ufffd");
    });

    it("gives back what it was given, whatever it is", async () => {
      using bench = await EngineBench.create(make(), { handler: echo });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "grapheme" }).map(text)), { maxLength: 5 }),
          async (all) => {
            const results = await bench.results(...all.map((payload) => ({ topic: "in/a", payload })));
            const echoed = results.map((result) =>
              result.status === "done" ? decodeMessage(result.effects.publishes[0] ?? Buffer.alloc(0)).payload : undefined,
            );
            expect(echoed.map((bytes) => [...(bytes ?? [])])).toEqual(all.map((bytes) => [...bytes]));
          },
        ),
        { numRuns: 60 },
      );
    });

    it("decodes by content type, and takes typed arrays as their bytes", async () => {
      const handler =
        "ctx.emit('kind', [typeof event.data, event.data instanceof Uint8Array]); ctx.publish('x', new Uint16Array([258, 3]).subarray(1));";
      using bench = await EngineBench.create(make(), { handler });
      const kind = (contentType: string): Promise<unknown> =>
        bench.emitted({ topic: "in/a", payload: text("1"), properties: { contentType } });
      expect([await kind("text/plain"), await kind("application/octet-stream"), await kind("application/json")]).toEqual([
        ["string", false],
        ["object", true],
        ["number", false],
      ]);
      const { publishes } = await bench.effects({ topic: "in/a", payload: text("1") });
      expect([...decodeMessage(publishes[0] ?? Buffer.alloc(0)).payload]).toEqual([3, 0]);
    });

    it("writes a lone surrogate as U+FFFD", async () => {
      using bench = await EngineBench.create(make(), { handler: "ctx.publish('x', 'a\\ud800b');" });
      const { publishes } = await bench.effects({ topic: "in/a" });
      expect(Buffer.from(decodeMessage(publishes[0] ?? Buffer.alloc(0)).payload).toString()).toBe("a\ufffdb");
    });
  });
}

function failures(make: () => Engine): void {
  describe("failures", () => {
    const handler = `ctx.log.info('before'); ctx.state.set('x', 1); ctx.emit('x', 1); ctx.publish('x', 1); await 0; THROW`;
    const failing = (what: string): Promise<EngineBench> =>
      EngineBench.create(make(), { handler: handler.replace("THROW", what), publish: ["x"], emit: ["x"] });

    it.each([
      ["an error", "throw new TypeError('no');", { status: "retry", code: "FUNCTION_THREW" }],
      ["nothing", "throw undefined;", { status: "retry", code: "FUNCTION_THREW" }],
      ["null", "throw null;", { status: "retry", code: "FUNCTION_THREW" }],
      ["a symbol", "throw Symbol('x');", { status: "retry", code: "FUNCTION_THREW" }],
      [
        "a revoked proxy",
        "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy;",
        { status: "retry", code: "FUNCTION_THREW" },
      ],
      [
        "a permanent error",
        "throw Object.assign(new Error('no'), { name: 'PermanentError' });",
        { status: "failed", code: "FUNCTION_THREW" },
      ],
      ["with a code of ours", "throw Object.assign(new Error('no'), { code: 'LIMIT_CPU' });", { status: "retry", code: "FUNCTION_THREW" }],
      ["for a payload that is not JSON", "event.data;", { status: "failed", code: "PAYLOAD_INVALID" }],
      ["for a topic that it may not publish to", "ctx.publish('y', 1);", { status: "failed", code: "PERMISSION_DENIED" }],
      ["for an event that it may not emit", "ctx.emit('y', 1);", { status: "failed", code: "PERMISSION_DENIED" }],
      ["for too much output", "for (;;) ctx.publish('x', 'x'.repeat(1_000));", { status: "failed", code: "LIMIT_OUTPUT" }],
      ["for a large state value", "ctx.state.set('x', 'x'.repeat(70_000));", { status: "failed", code: "LIMIT_STATE" }],
    ])("of a handler that throws %s leave only its logs", async (_what, body, expected) => {
      using bench = await failing(body);
      expect(await bench.run({ topic: "in/a", payload: text("{") })).toEqual([{ ...expected, logs: ["info before"] }]);
      expect(await bench.run({ topic: "in/b", payload: text("{") })).toMatchObject([expected]);
    });

    it("name the error, and the place in the code of the function alone", async () => {
      using bench = await EngineBench.create(make(), { handler: "const inner = () => { throw new RangeError('too far'); }; inner();" });
      const [result] = await bench.results({ topic: "in/a" });
      if (result?.status !== "retry") throw new Error("not failed");
      expect(result.error).toMatchObject({ name: "RangeError", message: "too far" });
      expect(result.error.stack).toMatch(/^RangeError: too far\n {4}at inner \(.*f\.js:1:\d+\)/);
    });
  });
}

async function statuses(bench: EngineBench, ...messages: readonly Sent[]): Promise<string[]> {
  return (await bench.run(...messages)).map(({ status }) => status);
}

function order(make: () => Engine): void {
  describe("order", () => {
    const handler =
      "if (event.data === 'bad') throw new Error('bad'); if (event.data === 'worse') throw Object.assign(new Error(), { name: 'PermanentError' });";
    const a = { topic: "in/a" };
    const bad: Sent = { ...a, payload: json("bad") };
    const worse: Sent = { ...a, payload: json("worse") };

    it("holds back a key that failed, and no other, until it is resumed", async () => {
      using bench = await EngineBench.create(make(), { handler, order: "strict" });
      expect(await statuses(bench, a, bad, a, { topic: "in/b" }, a)).toEqual(["done", "retry", "deferred", "done", "deferred"]);
      expect(await statuses(bench, a, { topic: "in/b" })).toEqual(["deferred", "done"]);
      expect(await statuses(bench, { ...bad, resume: true, attempt: 2 }, a)).toEqual(["retry", "deferred"]);
      expect(await statuses(bench, { ...a, resume: true, attempt: 3 }, a, a)).toEqual(["done", "done", "done"]);
    });

    it("goes by the key, not by the topic", async () => {
      using bench = await EngineBench.create(make(), { handler, order: "strict" });
      const keyed = { topic: "in/b", key: "ä" };
      expect(await statuses(bench, { ...bad, key: "ä" }, keyed, a)).toEqual(["retry", "deferred", "done"]);
    });

    it("goes on behind a message that is given up with its failure", async () => {
      using bench = await EngineBench.create(make(), { handler, order: "strict" });
      expect(await statuses(bench, { ...bad, giveUp: "always" }, a, worse, a)).toEqual(["retry", "done", "failed", "done"]);
      expect(await statuses(bench, { ...worse, giveUp: "never" }, a)).toEqual(["failed", "deferred"]);
    });

    it("holds nothing back when it is relaxed", async () => {
      using bench = await EngineBench.create(make(), { handler, order: "relaxed" });
      expect(await statuses(bench, bad, a, bad, a)).toEqual(["retry", "done", "retry", "done"]);
    });
  });
}

function cuts(make: () => Engine): void {
  describe("a batch that waits for longer than the wall limit", () => {
    it("is cut, and what was finished before is not lost", async () => {
      using bench = await EngineBench.create(make(), {
        handler: "if (event.params.k === 'stuck') await new Promise(() => undefined); ctx.emit('k', event.params.k);",
      });
      const topics = ["a", "b", "stuck", "c"].map((k) => ({ topic: `in/${k}` }));
      const outcome = await bench.outcome(topics, { timeoutMs: 5_000, wallMs: 100 });
      if (outcome.done) throw new Error("not cut");
      expect(outcome).toMatchObject({ fault: { code: "LIMIT_WALL", message: expect.stringContaining("100 ms") }, finished: 2 });
      expect(resultsOf(outcome).map((result) => (result.status === "done" ? result.effects.events[0]?.data : result.status))).toEqual([
        '"a"',
        '"b"',
      ]);
    });
  });
}
