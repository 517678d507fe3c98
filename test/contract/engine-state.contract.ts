import { describe, expect, it } from "vitest";
import { storedText } from "../../src/core/state-value.ts";
import { placeOf } from "../../src/runtime/effects.ts";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench } from "./engine-bench.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** What every engine does with the state of a function. */
export function engineStateContract(make: () => Engine): void {
  describe("state", () => {
    const count =
      "const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); if (event.data === 'bad') throw new Error('bad'); ctx.emit('n', n);";

    it("is asked for once for each key, when it is first used, and counts on from what was stored", async () => {
      using bench = await EngineBench.create(make(), { handler: count }, { "in/a": [["n", "41"]] });
      expect((await bench.run({ topic: "in/a" }, { topic: "in/a" }, { topic: "in/b" })).map(({ events }) => events)).toEqual([
        [42],
        [43],
        [1],
      ]);
      expect(bench.asked).toEqual([["in/a"], ["in/b"]]);
      expect((await bench.run({ topic: "in/a" }, { topic: "in/b" })).map(({ events }) => events)).toEqual([[44], [2]]);
      expect(bench.asked).toHaveLength(2);
    });

    it("of all keys of a batch is asked for in one go once it is known to be used", async () => {
      using bench = await EngineBench.create(make(), { handler: count });
      await bench.run({ topic: "in/a" });
      await bench.run({ topic: "in/b" }, { topic: "in/a" }, { topic: "in/c" }, { topic: "in/b" });
      expect(bench.asked).toEqual([["in/a"], ["in/b", "in/c"]]);
    });

    it("is never asked for when it is not used", async () => {
      using bench = await EngineBench.create(make(), { handler: "ctx.emit('x', 1);" });
      await bench.run({ topic: "in/a" }, { topic: "in/b" });
      expect(bench.asked).toEqual([]);
    });

    it("has what the message itself has written, and nothing of one that failed", async () => {
      using bench = await EngineBench.create(make(), { handler: count, order: "relaxed" });
      expect((await bench.run({ topic: "in/a", payload: json("bad") }, { topic: "in/a" })).map(({ events }) => events)).toEqual([
        undefined,
        [1],
      ]);
      using other = await EngineBench.create(
        make(),
        {
          handler: `ctx.state.set('x', { deep: [1] }); const read = await ctx.state.get('x'); read.deep.push(2);
          ctx.state.delete('old'); ctx.emit('x', [await ctx.state.get('x'), (await ctx.state.get('old')) === undefined, await ctx.state.get('kept')]);`,
        },
        {
          "in/a": [
            ["old", "1"],
            ["kept", '"ü"'],
          ],
        },
      );
      expect(await other.run({ topic: "in/a" })).toEqual([
        { status: "done", state: { x: { deep: [1] }, old: undefined }, events: [[{ deep: [1] }, true, "ü"]] },
      ]);
    });

    it("is listed by the beginning of names, in order, with what the message has written", async () => {
      using bench = await EngineBench.create(
        make(),
        {
          handler: `ctx.state.set('w:3', 3); ctx.state.delete('w:1'); const { list } = ctx.state;
            const found = [[...await list('w:')], [...(await list()).keys()], (await list('none')).size];
            for (const wrong of [() => ctx.state.delete('x'.repeat(1025)), () => ctx.state.set('\\ud800', 1), () => list(7)])
              try { await wrong(); found.push('taken'); } catch (error) { found.push(error.name); }
            ctx.emit('x', found);`,
        },
        {
          "in/a": [
            ["x", "1"],
            ["w:2", '"two"'],
            ["w:1", "1"],
          ],
        },
      );
      expect(await bench.emitted({ topic: "in/a" })).toEqual([
        [
          ["w:2", "two"],
          ["w:3", 3],
        ],
        ["w:2", "w:3", "x"],
        0,
        "TypeError",
        "TypeError",
        "TypeError",
      ]);
    });

    it("knows names that objects have anyway, and odd keys", async () => {
      using bench = await EngineBench.create(
        make(),
        {
          handler:
            "ctx.emit('x', (await ctx.state.get('__proto__')) ?? 'none'); ctx.state.set('__proto__', event.data); ctx.state.set('constructor', 1);",
        },
        { ["__proto__"]: [["__proto__", '"stored"']] },
      );
      for (const key of ["__proto__", "constructor", "ключ"]) {
        const results = await bench.results({ topic: "in/a", key }, { topic: "in/a", key, payload: json(7) });
        expect(results.map(({ status }) => status)).toEqual(["done", "done"]);
      }
      expect(bench.asked.flat().toSorted()).toEqual(["__proto__", "constructor", "ключ"]);
    });

    it("gives values back that JSON cannot carry, in the message itself, in the next one and once it was stored", async () => {
      const handler = `
        if (event.data === 'write') ctx.state.set('rich', {
          at: new Date(1_234), none: undefined, big: 2n ** 70n, less: -1n, bytes: new Uint8Array([0, 255]), odd: [NaN, -Infinity, -0, , 7],
          map: new Map([[{ a: 1 }, 'x']]), set: new Set(['ü']), floats: new Float32Array([1.5]), json: { toJSON: () => 'own' }, call() {},
        });
        const v = await ctx.state.get('rich');
        const [[key, value]] = v.map;
        ctx.emit('x', [
          v.at instanceof Date && v.at.getTime(), 'none' in v && v.none === undefined, String(v.big), String(v.less), v.bytes instanceof Uint8Array &&
            [...v.bytes],
          v.odd.map(String), Object.is(v.odd[2], -0), key, value, [...v.set], v.floats instanceof Float32Array && [...v.floats], v.json, 'call' in v,
        ]);`;
      const numbers = [1_234, true, "1180591620717411303424", "-1", [0, 255], ["NaN", "-Infinity", "0", "undefined", "7"], true];
      const seen = [...numbers, { a: 1 }, "x", ["ü"], [1.5], "own", false];
      using bench = await EngineBench.create(make(), { handler });
      const { state, events } = await bench.effects({ topic: "in/a", payload: json("write") });
      expect(JSON.parse(events[0]?.data ?? "null")).toEqual(seen);
      expect(await bench.emitted({ topic: "in/a" })).toEqual(seen);
      const stored = state.map(({ name, value }) => [name, storedText(value ?? Buffer.alloc(0))] as const);
      using later = await EngineBench.create(make(), { handler }, { "in/a": stored });
      expect(await later.emitted({ topic: "in/a" })).toEqual(seen);
    });

    it("is refused for what cannot be kept and for times that are none, and nothing of the message stays", async () => {
      const loop = "const a = []; a.push(a); ctx.state.set('x', a);";
      for (const [what, wrong] of [
        [loop, "levels deep, or holds itself"],
        ["ctx.state.set('x', undefined);", "undefined cannot be kept"],
        ["ctx.state.set('x', new ArrayBuffer(1));", "only typed arrays"],
        ...["0", "-1", "NaN", "'10 minutes'", "'1y'", "1e15", "{}"].map((ttl) => [`ctx.state.set('x', 1, { ttl: ${ttl} });`, "a ttl is"]),
      ] as const) {
        using bench = await EngineBench.create(make(), { handler: what });
        expect(JSON.stringify(await bench.results({ topic: "in/a", giveUp: "always" }))).toContain(wrong);
      }
    });

    it("says which function, key and value is over a limit, and what to do", async () => {
      const large = "'x'.repeat(60_000)";
      const twenty = `for (let i = 0; i < 20; i++) ctx.state.set('x' + i, ${large}, i < event.data ? { ttl: 1_000 } : undefined);`;
      for (const [handler, wanted] of [
        [
          "ctx.state.set('x', 'ü'.repeat(40_000));",
          /function \\"f\\", key \\"in\/a\\": the state value \\"x\\" is 80002 bytes.*raise the limit/,
        ],
        [twenty, /function \\"f\\", key \\"in\/a\\": it would be .* bytes.*a ttl/],
      ] as const) {
        using bench = await EngineBench.create(make(), { handler, limits: { outputBytes: 2 ** 21 } });
        expect(JSON.stringify(await bench.results({ topic: "in/a" }))).toMatch(wanted);
      }
    });

    it("has room again when values under a key have expired, before they are taken from the disk", async () => {
      const handler = `for (let i = 0; i < 9; i++) ctx.state.set(event.data + i, 'x'.repeat(60_000), { ttl: 1_000 });`;
      using bench = await EngineBench.create(make(), { handler });
      const codes = [];
      for (const [name, time] of [
        ["a", 1_000],
        ["b", 1_500],
        ["c", 2_000],
      ] as const) {
        const [result] = await bench.run({ topic: "in/a", payload: json(name), time, resume: true });
        codes.push(result?.code ?? result?.status);
      }
      expect(codes).toEqual(["done", "LIMIT_STATE", "done"]);
    });

    it("of the function is seen by all keys, apart from theirs, and asked for once", async () => {
      const handler = `
        const { shared } = ctx.state;
        const n = ((await shared.get('n')) ?? 0) + 1;
        shared.set('n', n);
        ctx.state.set('own', n);
        if (event.data === 'bad') throw new Error('bad');
        ctx.emit('n', [n, [...(await shared.list()).keys()], [...(await ctx.state.list()).keys()]]);`;
      using bench = await EngineBench.create(make(), { handler, order: "relaxed" }, { "": [["n", "41"]] });
      const results = await bench.results({ topic: "in/a" }, { topic: "in/b", payload: json("bad") }, { topic: "in/b" });
      const writes = results.map((result) =>
        result.status === "done" ? result.effects.state.map((write) => placeOf({ key: "key" }, write)) : [],
      );
      expect(writes).toEqual([["key", ""], [], ["key", ""]]);
      expect(await bench.run({ topic: "in/c" }, { topic: "in/a" })).toMatchObject(
        [44, 45].map((n) => ({ events: [[n, ["n"], ["own"]]], state: { own: n, n } })),
      );
      expect(bench.asked).toEqual([[""], ["in/a"], ["in/b"], ["in/c"]]);
    });

    it("of the function is refused when there are several isolates", async () => {
      using bench = await EngineBench.create(make(), { handler: "ctx.state.shared.set('x', 1);", concurrency: 2 });
      expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "failed", code: "STATE_NOT_SHARED" }]);
    });

    it("may be answered for an instance that has forgotten the question", async () => {
      using bench = await EngineBench.create(make(), { handler: count });
      bench.instance.stateLoaded(999, "{}");
      expect(await bench.run({ topic: "in/a" })).toMatchObject([{ events: [1] }]);
      bench.instance.dispose();
      bench.instance.stateLoaded(1, "{}");
    });
  });
}
