import { SourceMap as NodeSourceMap } from "node:module";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Bundle, digestOf, encodeBundle } from "../../../src/core/bundle.ts";
import { buildFunction } from "../../../src/runtime/build/build.ts";
import { invokeOnce } from "../../../src/runtime/invoke.ts";
import { Places, SourceMaps } from "../../../src/runtime/places.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MANIFEST = "name: f\napi: 1\ntriggers:\n  - mqtt: in/+k\nkey: k\nretry: {attempts: 1}\n";
const CONVERT = `interface Reading {
  readonly v: number;
}

/** Throws on line 7, column 20. */
export function convert(reading: Reading | null): number {
  return (reading!.v - 32) / 1.8;
}
`;
const INDEX = `import { defineFunction, type FunctionEvent } from "millrace";
import { convert } from "./lib/convert.ts";

export default defineFunction<{ v: number } | null>({
  handler(event: FunctionEvent<{ v: number } | null>, ctx): void {
    try {
      convert(event.data);
    } catch (error) {
      console.error("seen", error);
      throw error;
    }
  },
});
`;

async function built(folder: string, index: string): Promise<Bundle> {
  await mkdir(join(folder, "lib"), { recursive: true });
  const files = { "function.yaml": MANIFEST, "index.ts": index, "lib/convert.ts": CONVERT };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return buildFunction(folder);
}

const message = { topic: "in/a", payload: Buffer.from("null"), qos: 1, retain: false, time: 5_000, source: "test", hops: 0 } as const;

function targetOf(bundle: Bundle): { name: string; version: number; digest: string } {
  return { name: "f", version: 1, digest: digestOf(encodeBundle(bundle)) };
}

const INIT = `import { defineFunction } from "millrace";

export default defineFunction({
  async init(ctx) {
    ctx.log.info("about to");
    await Promise.resolve();
    throw new RangeError("no table");
  },
  handler() {},
});
`;

describe("errors of a function", () => {
  it("in its init keep the version from taking over, with file, line and column", async () => {
    await using folder = await TempFolder.make();
    const bundle = await built(folder.path, INIT);
    await using core = await Core.open({ folder: folder.path });
    await expect(core.runtime.deploy(targetOf(bundle), bundle)).rejects.toMatchObject({
      code: "FUNCTION_LOAD_FAILED",
      message: expect.stringMatching(/^init failed: RangeError: no table\n +at .*\(?index\.ts:7:11\)?$/) as string,
    });
    const { records } = core.runtime.logs.query({ level: "debug", limit: 100 });
    expect(records).toMatchObject([
      { level: "info", message: "about to", function: "f", version: 1 },
      { level: "error", message: expect.stringContaining("index.ts:7:11") as string },
    ]);
    expect(records[0]).not.toHaveProperty("invocation");
  });

  it("name file, line and column of the author's in the log, the dead letter and an invocation", async () => {
    await using folder = await TempFolder.make();
    const bundle = await built(folder.path, INDEX);
    await using core = await Core.open({ folder: folder.path });
    await core.runtime.deploy(targetOf(bundle), bundle);
    await core.send("in/a", "null");
    await eventually(async () => expect(await core.journal.deadLetters(undefined, 10)).toHaveLength(1));
    const { records } = core.runtime.logs.query({ level: "debug", limit: 100 });
    expect(records.slice(-2).map(({ message: text }) => text)).toEqual([
      expect.stringMatching(/^seen TypeError: .*\n +at convert \(lib\/convert\.ts:7:20\)\n +at .*\(index\.ts:7:7\)$/) as string,
      expect.stringMatching(
        /^FUNCTION_THREW: TypeError: .*\n +at convert \(lib\/convert\.ts:7:20\)\n +at .*\(index\.ts:7:7\); given up/,
      ) as string,
    ]);
    const [letter] = await core.journal.deadLetters(undefined, 10);
    expect(letter?.error).toMatch(/ \(lib\/convert\.ts:7:20\)$/);
    expect((await invokeOnce(bundle, message)).error?.stack).toContain("at convert (lib/convert.ts:7:20)");
  });

  it("do so too when the code does not load", async () => {
    await using folder = await TempFolder.make();
    const bundle = await built(
      folder.path,
      `import { convert } from "./lib/convert.ts";\n\nexport default { handler() {}, x: convert(null) };\n`,
    );
    await using core = await Core.open({ folder: folder.path });
    await expect(core.runtime.deploy(targetOf(bundle), bundle)).rejects.toThrow(/lib\/convert\.ts:7:20/);
    await expect(invokeOnce(bundle, message)).rejects.toThrow(/lib\/convert\.ts:7:20/);
  });

  it("keep the places in the script when the map is unusable, and text that only looks like a place", async () => {
    await using folder = await TempFolder.make();
    const bundle = { ...(await built(folder.path, INDEX)), sourceMap: '{"version":3,"sources":["/etc/passwd"],"mappings":"AAAA"}' };
    expect((await invokeOnce(bundle, message)).error?.stack).toMatch(/at convert \(f\.js:\d+:\d+\)/);
    const looks = await built(
      folder.path,
      `export default { handler() { console.log("a f.js:1:1"); console.log("a\\n    at x (gulf.js:1:1)"); } };\n`,
    );
    expect((await invokeOnce(looks, message)).logs.map((log) => log.message)).toEqual(["a f.js:1:1", "a\n    at x (gulf.js:1:1)"]);
  });

  it("are told at once when a function forges a stack of one long line", () => {
    const { bundle } = functionOf({});
    const places = new Places(
      { ...bundle, sourceMap: '{"version":3,"sources":["index.ts"],"names":[],"mappings":"AAAA"}' },
      new SourceMaps(),
    );
    const startedAt = performance.now();
    expect(places.first(`x\n    at f (f.js:1:1 ${"a".repeat(1_000_000)}`)).toBeUndefined();
    expect(places.first(`x\n    at f (${":1".repeat(500_000)} f.js:1:1)`)).toBe("index.ts:1:1");
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it("do so much sooner with a large map than when it is decoded as a whole", () => {
    const { bundle } = functionOf({});
    const map = { version: 3, sources: ["index.ts"], names: [], mappings: `${"AAAA,".repeat(100_000)};${"CAAA,".repeat(100_000)}` };
    const own = timeOf(() => {
      const places = new Places({ ...bundle, sourceMap: JSON.stringify(map) }, new SourceMaps());
      expect(places.inText("x\n at f.js:2:90001")).toBe("x\n at index.ts:1:1");
    });
    const whole = timeOf(() => new NodeSourceMap({ ...map, file: "", sourcesContent: [], sourceRoot: "" }).findEntry(1, 90_000));
    expect(own).toBeLessThan(whole);
  });
});

/** The least of five. */
function timeOf(run: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    run();
    return performance.now() - startedAt;
  });
  return Math.min(...times);
}
