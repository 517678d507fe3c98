import ivm from "isolated-vm";
import { afterEach, describe, expect, it } from "vitest";
import { CodeCache } from "../../../src/runtime/host/code-cache.ts";

const isolates: ivm.Isolate[] = [];
afterEach(() => {
  for (const isolate of isolates.splice(0)) isolate.dispose();
});

/** Compiles in an isolate of its own and runs it. */
async function run(cache: CodeCache, code: string): Promise<{ cached: boolean; value: unknown }> {
  const isolate = new ivm.Isolate({ memoryLimit: 16 });
  isolates.push(isolate);
  const compiled = await cache.compile(isolate, code, "f.js");
  if (compiled === undefined) return { cached: false, value: undefined };
  return { cached: compiled.cached, value: await compiled.script.run(await isolate.createContext()) };
}

const long = (result: string): string => `/* ${"x".repeat(10_000)} */ function answer() { return ${result}; } answer();`;

describe("machine code of functions", () => {
  it("is made at the second start and used from the third on", async () => {
    const cache = new CodeCache();
    const starts = [await run(cache, long("1")), await run(cache, long("1")), await run(cache, long("1")), await run(cache, long("1"))];
    expect(starts.map(({ cached }) => cached)).toEqual([false, false, true, true]);
    expect(starts.map(({ value }) => value)).toEqual([1, 1, 1, 1]);
  });

  it("belongs to one text, also when another has the same length", async () => {
    const cache = new CodeCache();
    for (let i = 0; i < 3; i++) await run(cache, long("1"));
    expect([await run(cache, long("2")), await run(cache, long("1"))]).toEqual([
      { cached: false, value: 2 },
      { cached: true, value: 1 },
    ]);
  });

  it("is not kept of short texts, nor of such that do not compile", async () => {
    const cache = new CodeCache();
    for (let i = 0; i < 3; i++) expect(await run(cache, "1 + 1")).toEqual({ cached: false, value: undefined });
    for (let i = 0; i < 3; i++) await expect(run(cache, `${long("1")} )`)).rejects.toThrow(SyntaxError);
    expect(cache.bytes).toBe(0);
  });

  it("is bounded: what was not used for longest goes", async () => {
    const cache = new CodeCache(35_000);
    for (let i = 0; i < 3; i++) await run(cache, long("1"));
    for (const other of ["2", "3", "4", "5"]) {
      await run(cache, long(other));
      expect((await run(cache, long("1"))).cached).toBe(true);
      expect(cache.bytes).toBeLessThanOrEqual(35_000);
    }
    // The last is known from its start before, the first is as good as new.
    for (const [code, starts] of [
      ["5", [false, true]],
      ["2", [false, false]],
    ] as const) {
      expect([await run(cache, long(code)), await run(cache, long(code))].map(({ cached }) => cached)).toEqual(starts);
    }
  });

  it("is not kept of a text that is larger than everything that may be kept", async () => {
    const cache = new CodeCache(5_000);
    for (let i = 0; i < 3; i++) expect(await run(cache, long("1"))).toEqual({ cached: false, value: 1 });
    expect(cache.bytes).toBe(0);
  });
});
