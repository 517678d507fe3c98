import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

describe("what a function publishes", () => {
  it("wakes the functions that listen to it, in the same commit, each exactly once", async () => {
    await using core = await Core.temporary({ hosts: 2 });
    await core.deploy(
      functionOf({ name: "first", concurrency: 2, handler: `ctx.publish('mid/' + event.params.k, { n: event.data });` }),
      functionOf({
        name: "second",
        triggers: ["mid/+k"],
        key: "k",
        handler: `ctx.publish('out/' + event.params.k, event.data); ctx.emit('second', event.data.n, { subject: event.params.k });`,
      }),
      functionOf({ name: "third", triggers: ["mid/#"], handler: `ctx.emit('third', event.data.n, { subject: event.topic });` }),
    );
    await Promise.all(Array.from({ length: 600 }, (_, i) => core.send(`in/k${i % 3}`, i)));
    await core.drained();
    const expected = [0, 1, 2].map((key) => Array.from({ length: 200 }, (_, i) => key + i * 3));
    for (const [type, prefix] of [
      ["second", ""],
      ["third", "mid/"],
    ] as const) {
      const events = await core.events(type);
      for (const [key, numbers] of expected.entries()) {
        expect(events.filter(({ subject }) => subject === `${prefix}k${key}`).map(({ data }) => data)).toEqual(numbers);
      }
      expect(new Set(events.map(({ id }) => id)).size).toBe(600);
    }
    expect(core.published.filter(({ topic }) => topic.startsWith("mid/"))).toHaveLength(600);
    expect(core.published.find(({ topic }) => topic === "mid/k0")).toMatchObject({ source: "fn:first", hops: 1 });
    expect(core.published.find(({ topic }) => topic === "out/k0")).toMatchObject({ source: "fn:second", hops: 2 });
    expect(core.journal.nextSeq).toBe(1 + 1_200);
  });

  it("and would wake another function for the seventeenth time is refused with LIMIT_HOPS", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "ring", triggers: ["ring"], handler: `ctx.publish('ring', event.data + 1); ctx.emit('turn', event.data);` }),
    );
    await core.send("ring", "0");
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_HOPS", attempts: 1, topic: "ring" }]);
    expect(core.published).toHaveLength(16);
  });

  it("back and forth between two functions ends in the dead letters of the one whose turn it is, and both go on", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        name: "ping",
        triggers: ["ping"],
        handler: `if (event.data >= 0) ctx.publish('pong', event.data + 1); ctx.emit('ping', event.data);`,
      }),
      functionOf({ name: "pong", triggers: ["pong"], handler: `ctx.publish('ping', event.data + 1); ctx.emit('pong', event.data);` }),
    );
    await core.send("ping", "0");
    await core.drained();
    expect((await core.events("ping")).map(({ data }) => data)).toEqual([0, 2, 4, 6, 8, 10, 12, 14]);
    expect((await core.events("pong")).map(({ data }) => data)).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_HOPS", function: "ping", attempts: 1, topic: "ping" }]);
    await core.send("ping", "-1");
    await core.drained();
    expect(core.stats("ping")).toMatchObject({ handled: 9, deadLettered: 1 });
  });

  it("comes from the function at the time of its message, whatever the function says", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        name: "liar",
        retry: { attempts: 1 },
        // The guest takes its name and the time from where the function can reach them.
        prelude: `const { parse } = JSON;
          JSON.parse = (text) => { const value = parse(text); if (value?.gateway !== undefined) value.name = 'sensor'; return value; };`,
        handler: `ctx.publish('stolen', 1);`,
      }),
      functionOf({
        name: "garbler",
        retry: { attempts: 1 },
        handler: `unescape = () => 'mid/\\xff'; ctx.publish('mid/\u00ff', 1);`,
      }),
      functionOf({
        name: "early",
        handler: `Object.defineProperty(Object.getPrototypeOf(event), 'time', { get: () => 1 }); ctx.publish('mid', 1);`,
      }),
      functionOf({ name: "reader", triggers: ["mid"], handler: `ctx.emit('read', event.time);` }),
    );
    const before = Date.now();
    await core.send("in/k", 1);
    await core.drained();
    expect(core.published).toMatchObject([{ topic: "mid", source: "fn:early" }]);
    const letters = await core.deadLetters();
    expect(letters.toSorted((a, b) => a.function.localeCompare(b.function))).toMatchObject([
      { function: "garbler", code: "FUNCTION_THREW", error: "the topic that it publishes to is no UTF-8" },
      { function: "liar", code: "FUNCTION_THREW", error: "what it publishes names another source" },
    ]);
    const [read] = await core.events("read");
    expect(read?.data).toBeGreaterThanOrEqual(before);
  });

  it("is refused without a trace in the state that the messages behind it see", async () => {
    // All in one batch: the isolate has handled the last message before the gateway refuses the one in the middle.
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        name: "sum",
        triggers: ["sum/+k", "ring"],
        key: "all",
        handler: `
          const sum = (await ctx.state.get('sum') ?? 0) + event.data;
          ctx.state.set('sum', sum);
          if (event.data === 100) ctx.publish('sum/a', 0);
          ctx.emit('sum', sum);`,
      }),
    );
    await Promise.all([1, 2, 100, 3, 4].map((n) => core.send("sum/b", n, { hops: n === 100 ? 16 : 0 })));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([1, 3, 6, 10]);
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_HOPS", seq: 3 }]);
    expect((await core.journal.loadState("f", "sum/b")).length + (await core.journal.loadState("sum", "sum/b")).length).toBe(1);
  });

  it("keeps its bytes, whatever it is made of", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        handler: `
          ctx.publish('o/ä', 'täxt \\u0000 \\ud83d\\ude00');
          ctx.publish('o/json', { a: [1, 'ü'] }, { qos: 0, retain: true });
          ctx.publish('o/bytes', new Uint8Array([0, 255, 128]));
          ctx.publish('o/echo', event.bytes);
          ctx.publish('o/empty', '');`,
      }),
    );
    await core.send("in/k", "\u0001\u00ff");
    await core.drained();
    expect(core.published.map(({ topic, text }) => [topic, text])).toEqual([
      ["o/ä", "täxt \u0000 \ud83d\ude00"],
      ["o/json", '{"a":[1,"ü"]}'],
      ["o/bytes", Buffer.from([0, 255, 128]).toString()],
      ["o/echo", "\u0001\u00ff"],
      ["o/empty", ""],
    ]);
  });
});

describe("what a function may not do", () => {
  it("fails with PERMISSION_DENIED, and nothing of the message counts", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        publish: ["cmd/+device/fan"],
        emit: ["ok", "com.example.*"],
        handler: `
          ctx.state.set('n', event.data);
          ctx.emit('ok', event.data);
          if (event.data === 'publish') ctx.publish('cmd/fan', 1);
          if (event.data === 'emit') ctx.emit('com.other', 1);
          ctx.publish('cmd/boiler/fan', event.data);
          ctx.emit('com.example.x', event.data);`,
      }),
    );
    for (const text of ["publish", "emit", "fine"]) await core.send("in/k", JSON.stringify(text));
    await core.drained();
    expect((await core.deadLetters()).map(({ seq, code, attempts }) => [seq, code, attempts])).toEqual([
      [1, "PERMISSION_DENIED", 1],
      [2, "PERMISSION_DENIED", 1],
    ]);
    expect((await core.events()).map(({ type, data }) => [type, data])).toEqual([
      ["ok", "fine"],
      ["com.example.x", "fine"],
    ]);
    expect(core.published.map(({ topic, text }) => [topic, text])).toEqual([["cmd/boiler/fan", "fine"]]);
  });

  it("is refused by the gateway also when the function has overpowered the guards inside its isolate", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        publish: ["cmd/#"],
        emit: ["ok"],
        // The checks inside run in the function's own realm, so it can make them say yes.
        handler: `
          if (event.data === 'fine') { ctx.state.set('n', (await ctx.state.get('n') ?? 0) + 1); ctx.emit('ok', await ctx.state.get('n')); return; }
          Array.prototype.some = () => true;
          RegExp.prototype.test = () => false;
          String.prototype.startsWith = function () { return false; };
          ctx.state.set('n', 1000);
          if (event.data === 'emit') ctx.emit('forbidden', 1);
          else ctx.publish(event.data, 1);`,
      }),
    );
    const attacks = ["other/topic", "emit", "$SYS/x", "cmd/#", "cmd/+/x", "cmd/\u0000"];
    await core.send("in/k", '"fine"');
    for (const text of attacks) await core.send("in/k", JSON.stringify(text));
    await core.send("in/k", '"fine"');
    await core.drained();
    expect((await core.deadLetters()).map(({ seq, code }) => [seq, code])).toEqual(attacks.map((_, i) => [i + 2, "PERMISSION_DENIED"]));
    expect((await core.events()).map(({ type, data }) => [type, data])).toEqual([
      ["ok", 1],
      ["ok", 2],
    ]);
    expect(core.published).toEqual([]);
  });

  it("includes reaching anything of Node or of the engine", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        handler: `
          const names = ['process', 'require', 'module', 'Buffer', 'WebAssembly', 'SharedArrayBuffer', 'Atomics'];
          names.push('ivm', 'createGuest', 'StateCache');
          const own = Object.getOwnPropertyNames(globalThis);
          const reached = (name) => { try { return typeof eval(name) !== 'undefined'; } catch { return false; } };
          ctx.emit('found', names.filter((name) => own.includes(name) || reached(name)));
          const typeofProcess = () => (function () { return this; }).constructor('return typeof process')();
          const outside = (() => { try { return typeofProcess(); } catch (error) { return error.name; } })();
          ctx.emit('outside', outside);`,
      }),
    );
    await core.send("in/k", "1");
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([[], "undefined"]);
  });

  it("includes more output than its limit", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        limits: { outputBytes: 1_000 },
        handler: `for (let i = 0; i < event.data; i++) ctx.publish('o', 'x'.repeat(99)); ctx.emit('done', event.data);`,
      }),
    );
    await core.send("in/k", "7");
    await core.send("in/k", "11");
    await core.send("in/k", "1");
    await core.drained();
    expect((await core.deadLetters()).map(({ seq, code, attempts }) => [seq, code, attempts])).toEqual([[2, "LIMIT_OUTPUT", 1]]);
    expect(core.published).toHaveLength(8);
  });

  it.each([
    ["publishes", "ctx.publish('o/' + i, '')"],
    ["events", "ctx.emit('x', i)"],
    ["stored values", "ctx.state.set('n' + i, i)"],
    ["deleted values", "ctx.state.delete('n' + i)"],
  ])("includes no more %s than one for each KB of its output, also when it forges its limits", async (_what, effect) => {
    const handler = `for (let i = 0; i < event.data; i++) ${effect};`;
    const prelude =
      "const parse = JSON.parse; JSON.parse = (text) => { const v = parse(text); if (v?.outputBytes) v.outputBytes = 1e9; return v; };";
    for (const more of [{}, { prelude }]) {
      await using core = await Core.temporary();
      await core.deploy(functionOf({ handler, limits: { outputBytes: 200 * 1_024, cpuMs: 2_000 }, ...more }));
      await core.send("in/k", "200");
      await core.send("in/k", "201");
      await core.drained();
      expect((await core.deadLetters()).map(({ seq, code }) => [seq, code])).toEqual([[2, "LIMIT_OUTPUT"]]);
    }
  });

  it("counts once however often it writes the same value", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ handler: "for (let i = 0; i < 500; i++) ctx.state.set('n', i);", limits: { outputBytes: 100_000 } }));
    await core.send("in/k", "1");
    await core.drained();
    expect(await core.deadLetters()).toEqual([]);
  });

  it("is taken once and in order when messages of a batch have more of it than is taken in one go", async () => {
    await using core = await Core.temporary();
    const handler = "if (event.data === 7) throw new Error('7'); for (let i = 0; i < 300; i++) ctx.publish('o', event.data * 1_000 + i);";
    await core.deploy(functionOf({ handler, limits: { cpuMs: 2_000 }, retry: { attempts: 1 } }));
    await Promise.all(Array.from({ length: 40 }, (_, n) => core.send("in/k", String(n))));
    await core.drained();
    expect((await core.deadLetters()).map(({ seq }) => seq)).toEqual([8]);
    const expected = Array.from({ length: 40 }, (_, n) => (n === 7 ? [] : Array.from({ length: 300 }, (__, i) => String(n * 1_000 + i))));
    expect(core.published.map(({ text }) => text)).toEqual(expected.flat());
  });
});

describe("an event", () => {
  it("has an id made of what caused it, and the time of its message", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ name: "celsius", handler: `ctx.emit('a', 1, { subject: 'ä' }); ctx.emit('b', { at: ctx.now() });` }));
    await core.send("in/k", "1", { time: 12_345 });
    await core.drained();
    expect((await core.journal.outbox.read(0, 9)).map(({ event }) => event)).toEqual([
      { id: "g:1:celsius:0", function: "celsius", version: 1, type: "a", subject: "ä", time: 12_345, data: "1" },
      { id: "g:1:celsius:1", function: "celsius", version: 1, type: "b", subject: "in/k", time: 12_345, data: '{"at":12345}' },
    ]);
  });
});
