import { describe, expect, it } from "vitest";
import { messageOf } from "../../src/core/errors.ts";
import type { Engine, RunOutcome } from "../../src/runtime/host/engine.ts";
import { EngineBench, resultsOf } from "./engine-bench.ts";

const LIMITS = { timeoutMs: 100, wallMs: 2_000, cpuMs: 50 };
const MEMORY = { memoryBytes: 16 * 2 ** 20 };

/** Of a handler that does not end for the second of three messages; with more time when other programs have taken all of it. */
async function cutOf(make: () => Engine, handler: string, limits: typeof LIMITS): Promise<Extract<RunOutcome, { done: false }>> {
  using bench = await EngineBench.create(make(), { handler });
  const outcome = await bench.outcome([{ topic: "in/a" }, { topic: "in/bad" }, { topic: "in/b" }], limits);
  if (outcome.done) throw new Error("not cut");
  return outcome.fault.code === "HOST_STARVED" ? cutOf(make, handler, { ...limits, timeoutMs: 2 * limits.timeoutMs }) : outcome;
}

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
      const handler = `if (event.params.k === 'bad') { ${body} } ctx.emit('k', event.params.k);`;
      const outcome = await cutOf(make, handler, LIMITS);
      expect(outcome.fault).toMatchObject({ code: "LIMIT_CPU", message: expect.stringContaining("100 ms") });
      // A guest that cannot even say so any more has finished nothing, as far as anybody knows.
      expect(outcome.finished).toBe(body.includes("Date.now") ? 0 : 1);
      expect(resultsOf(outcome)).toHaveLength(outcome.finished);
    });

    it("while it is loaded does not load, and a person is told the limit", async () => {
      const loading = EngineBench.create(make(), { prelude: "for (;;);", handler: "" });
      await expect(loading).rejects.toThrow("LIMIT_CPU: the top-level code computed for more than 2000 ms");
    });

    it("in its init does not load, and a person is told the limit", async () => {
      const loading = EngineBench.create(make(), { init: "for (;;);", handler: "", limits: { initMs: 100 } });
      await expect(loading).rejects.toThrow("LIMIT_CPU: init computed for more than 100 ms");
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

  it("code that does not load is told of in its own words and places, without those of the process", async () => {
    const loading = EngineBench.create(make(), {
      prelude: "function tooEarly() { throw new RangeError('not today'); }\ntooEarly();",
      handler: "",
    });
    expect(messageOf(await loading.catch((error: unknown) => error))).toMatch(
      /^RangeError: not today\n {4}at tooEarly \(f\.js:1:\d+\)\n {4}at f\.js:2:1$/,
    );
  });

  it.each([
    ["what it throws", "throw new Error('x'.repeat(5e6));"],
    ["a stack", "throw Object.assign(new Error('x'), { stack: '    at x\\n'.repeat(5e5) });"],
    ["a text", "throw 'x'.repeat(5e6);"],
  ])("code that does not load tells no more than a page, whatever %s says", async (_what, prelude) => {
    const error = await EngineBench.create(make(), { prelude, handler: "" }).catch((reason: unknown) => reason);
    expect(messageOf(error).length).toBeLessThan(4_100);
  });

  describe("code that fills its memory", () => {
    const fill = "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));";

    it("is cut", async () => {
      using bench = await EngineBench.create(make(), { handler: fill, limits: MEMORY });
      const outcome = await bench.outcome([{ topic: "in/a" }], { timeoutMs: 10_000, wallMs: 10_000 });
      if (outcome.done) throw new Error("not cut");
      expect(outcome.fault.code).toBe("LIMIT_MEMORY");
    });

    it("while it is loaded does not load, and a person is told the limit", async () => {
      const loading = EngineBench.create(make(), { prelude: fill, handler: "", limits: MEMORY });
      await expect(loading).rejects.toThrow("LIMIT_MEMORY: the top-level code needs more than 16 MB");
    });

    it.each([
      ["a text", "let rope = 'ab'; for (let i = 0; i < 25; i++) rope += rope; globalThis.kept = /c/.test(rope) ? 1 : rope;"],
      ["an array", "globalThis.kept = new Array(4e6).fill(1);"],
    ])("with %s at once that it keeps is cut after the message, which is not handled", async (_what, body) => {
      using bench = await EngineBench.create(make(), { handler: body, limits: MEMORY });
      const outcome = await bench.outcome([{ topic: "in/a" }]);
      expect(outcome).toMatchObject({
        done: false,
        fault: { code: "LIMIT_MEMORY", message: expect.stringContaining("16 MB") },
        finished: 0,
      });
    });

    it("with what it does not keep goes on", async () => {
      using bench = await EngineBench.create(make(), { handler: "ctx.emit('x', new Array(1e6).fill(1).length);", limits: MEMORY });
      for (let i = 0; i < 10; i++) expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "done", events: [1e6] }]);
    });

    it.each([
      ["that is made to grow", "new ArrayBuffer(1, { maxByteLength: 2 ** 30 }).resize(2 ** 29)"],
      ["of a class of its own", "new (class extends ArrayBuffer {})(1, { maxByteLength: 2 ** 30 }).resize(2 ** 29)"],
      ["that another one led to", "new (new Uint8Array(1).buffer.constructor)(1, { maxByteLength: 2 ** 30 }).resize(2 ** 29)"],
      ["that is constructed by reflection", "Reflect.construct(ArrayBuffer, [1, { maxByteLength: 2 ** 30 }], Array).resize(2 ** 29)"],
      ["of a species", "ArrayBuffer[Symbol.species]; new ArrayBuffer[Symbol.species](1, { maxByteLength: 2 ** 30 }).resize(2 ** 29)"],
      ["that is handed on", "new ArrayBuffer(1).transfer(2 ** 29)"],
      ["as large as that", "new ArrayBuffer(2 ** 29)"],
    ])("with a buffer %s is refused it", async (_which, buffer) => {
      using bench = await EngineBench.create(make(), { handler: `globalThis.kept = ${buffer}; ctx.emit('x', 1);`, limits: MEMORY });
      expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "retry", code: "FUNCTION_THREW" }]);
    });

    it("with buffers of ordinary sizes works as ever", async () => {
      using bench = await EngineBench.create(make(), {
        handler: `class Own extends ArrayBuffer {}
          const buffer = new ArrayBuffer(8);
          ctx.emit('x', [buffer instanceof ArrayBuffer, buffer.slice(2).byteLength, new Own(3).byteLength, new Own(3) instanceof Own,
            new Uint8Array(4).buffer.constructor === ArrayBuffer, ArrayBuffer.isView(new DataView(buffer)), ArrayBuffer.name]);`,
      });
      expect(await bench.emitted({ topic: "in/a" })).toEqual([true, 6, 3, true, true, true, "ArrayBuffer"]);
    });
  });

  it("code that makes the guest ask for state again and again is cut, and most of it is not passed on", async () => {
    using bench = await EngineBench.create(make(), {
      handler: "Map.prototype.has = () => false; for (let i = 0; i < 5_000; i++) ctx.state.get('x');",
    });
    const outcome = await bench.outcome([{ topic: "in/a" }]);
    expect(outcome).toMatchObject({ done: false, fault: { code: "LIMIT_CALLS" }, finished: 0 });
    expect(bench.asked.length).toBeGreaterThan(100);
    expect(bench.asked.length).toBeLessThanOrEqual(1_000);
  });

  it("nothing of the process, of the engine or of shared memory is there", async () => {
    const names = ["process", "require", "Buffer", "global", "WebAssembly", "SharedArrayBuffer", "Atomics", "ivm", "createGuest"];
    using bench = await EngineBench.create(make(), {
      handler: `const made = event.constructor.constructor; ctx.emit('x', event.data.map((name) => [name, made('return typeof ' + name)()]));`,
    });
    const found = await bench.emitted({ topic: "in/a", payload: Buffer.from(JSON.stringify(names)) });
    expect(found).toEqual(names.map((name) => [name, "undefined"]));
  });
}
