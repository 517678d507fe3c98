import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench, resultsOf } from "./engine-bench.ts";

const LIMITS = { timeoutMs: 100, wallMs: 2_000 };
const MEMORY = { memoryBytes: 16 * 2 ** 20 };

/** What only an engine with real isolates does: it stops code that computes, bounds its memory, and leaves no way out. */
export function engineLimitsContract(make: () => Engine): void {
  describe("code that computes without end", () => {
    it.each([
      ["at once", "for (;;);"],
      ["in microtasks", "const again = () => Promise.resolve().then(again); await again();"],
      ["in a regular expression", "/^(a+)+$/.test('a'.repeat(50) + 'b');"],
      ["after it had its state", "await ctx.state.get('x'); for (;;);"],
      ["in what it throws", "throw { get message() { for (;;); } };"],
      ["and has no clock any more", "Date.now = () => { for (;;); }; for (;;);"],
    ])("%s is cut, and its instance is of no further use", async (_when, body) => {
      using bench = await EngineBench.create(make(), {
        handler: `if (event.params.k === 'bad') { ${body} } ctx.emit('k', event.params.k);`,
      });
      const outcome = await bench.outcome([{ topic: "in/a" }, { topic: "in/bad" }, { topic: "in/b" }], LIMITS);
      if (outcome.done) throw new Error("not cut");
      expect(outcome.fault).toMatchObject({ code: "LIMIT_CPU", message: expect.stringContaining("100 ms") });
      // A guest that cannot even say so any more has finished nothing, as far as anybody knows.
      expect(outcome.finished).toBe(body.includes("Date.now") ? 0 : 1);
      expect(resultsOf(outcome)).toHaveLength(outcome.finished);
    });

    it("while it is loaded does not load", async () => {
      await expect(EngineBench.create(make(), { prelude: "for (;;);", handler: "" })).rejects.toThrow(/timed out/);
    });

    it("keeps no other instance from its messages", async () => {
      const engine = make();
      using bad = await EngineBench.create(engine, { handler: "for (;;);" });
      using good = await EngineBench.create(engine, { handler: "ctx.emit('x', 1);" });
      const cut = bad.outcome([{ topic: "in/a" }], LIMITS);
      expect(await good.run({ topic: "in/a" })).toEqual([{ status: "done", events: [1] }]);
      expect((await cut).done).toBe(false);
      expect(await good.run({ topic: "in/a" })).toEqual([{ status: "done", events: [1] }]);
    });
  });

  describe("code that fills its memory", () => {
    const fill = "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));";

    it("is cut", async () => {
      using bench = await EngineBench.create(make(), { handler: fill, limits: MEMORY });
      const outcome = await bench.outcome([{ topic: "in/a" }], { timeoutMs: 10_000, wallMs: 10_000 });
      if (outcome.done) throw new Error("not cut");
      expect(outcome.fault.code).toBe("LIMIT_MEMORY");
    });

    it("while it is loaded does not load", async () => {
      await expect(EngineBench.create(make(), { prelude: fill, handler: "", limits: MEMORY })).rejects.toThrow(Error);
    });
  });

  it("nothing of the process, of the engine or of shared memory is there", async () => {
    const names = [
      "process",
      "require",
      "Buffer",
      "global",
      "WebAssembly",
      "SharedArrayBuffer",
      "Atomics",
      "setTimeout",
      "ivm",
      "createGuest",
    ];
    using bench = await EngineBench.create(make(), {
      handler: `const made = event.constructor.constructor; ctx.emit('x', event.data.map((name) => [name, made('return typeof ' + name)()]));`,
    });
    const found = await bench.emitted({ topic: "in/a", payload: Buffer.from(JSON.stringify(names)) });
    expect(found).toEqual(names.map((name) => [name, "undefined"]));
  });
}
