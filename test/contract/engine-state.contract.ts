import { describe, expect, it } from "vitest";
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

    it("may be answered for an instance that has forgotten the question", async () => {
      using bench = await EngineBench.create(make(), { handler: count });
      bench.instance.stateLoaded(999, "{}");
      expect(await bench.run({ topic: "in/a" })).toMatchObject([{ events: [1] }]);
      bench.instance.dispose();
      bench.instance.stateLoaded(1, "{}");
    });
  });
}
