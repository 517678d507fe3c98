import { cp, symlink } from "node:fs/promises";
import { join } from "node:path";
import { createContext, runInContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Bundle, decodeBundle, digestOf, encodeBundle } from "../../../src/core/bundle.ts";
import { buildFunction } from "../../../src/runtime/build/build.ts";
import { temporaryFolder } from "./folder.ts";

const MANIFEST = "name: a\napi: 1\ntriggers:\n  - mqtt: a/+b\n";
const FUNCTION = `import { defineFunction, PermanentError, type FunctionEvent } from "millrace";
import { double } from "./lib/double.ts";
import table from "./table.json";

enum Level { Low = 1 }

export default defineFunction({
  handler(event: FunctionEvent, ctx) {
    if (event.data === null) throw new PermanentError("null");
    ctx.emit("a", double(table.factor) + Level.Low);
  },
});
`;
const FILES = {
  "function.yaml": MANIFEST,
  "index.ts": FUNCTION,
  "lib/double.ts": "export const double = (n: number): number => n * 2;\nexport const unused = 'not in the bundle';\n",
  "table.json": '{"factor": 3}',
};

/** What the script leaves in its global, in a context with nothing of Node. */
function run(code: string): unknown {
  const context = createContext(Object.create(null));
  runInContext(code, context);
  return runInContext("__millrace", context);
}

function digest(bundle: Bundle): string {
  return digestOf(encodeBundle(bundle));
}

describe("buildFunction", () => {
  it("makes one script that leaves the module's exports in __millrace", async () => {
    await using folder = await temporaryFolder(FILES);
    const bundle = await buildFunction(folder.path);
    const exported = run(bundle.code) as { default: { handler(event: object, ctx: object): void } };
    const emitted: unknown[] = [];
    exported.default.handler({ data: 1 }, { emit: (...args: unknown[]) => emitted.push(args) });
    expect(emitted).toEqual([["a", 7]]);
    expect(() => exported.default.handler({ data: null }, {})).toThrow(
      expect.objectContaining({ name: "PermanentError", message: "null" }),
    );
    expect(bundle.code).not.toContain("not in the bundle");
    expect(bundle.manifest).toMatchObject({ name: "a", triggers: [{ mqtt: "a/+b" }] });
    expect(decodeBundle(encodeBundle(bundle))).toEqual(bundle);
  });

  it("puts what is used of the standard library into the script, and nothing of where it came from", async () => {
    const entry = `import { defineFunction } from "millrace";
import { hysteresis } from "millrace/std";
export default defineFunction({ handler(event, ctx) { ctx.emit("a", hysteresis(false, event.data as number, { high: 2, low: 1 })); } });`;
    await using folder = await temporaryFolder({ "function.yaml": MANIFEST, "index.ts": entry });
    const { code, sourceMap } = await buildFunction(folder.path);
    const emitted: unknown[] = [];
    const exported = run(code) as { default: { handler(event: object, ctx: object): void } };
    exported.default.handler({ data: 3 }, { emit: (...args: unknown[]) => emitted.push(args) });
    expect(emitted).toEqual([["a", true]]);
    expect(code).not.toMatch(/degF|sdk/);
    expect((JSON.parse(sourceMap) as { sources: string[] }).sources).toEqual(["index.ts"]);
  });

  it("makes a source map with relative paths that leads back to the sources", async () => {
    await using folder = await temporaryFolder(FILES);
    const map = JSON.parse((await buildFunction(folder.path)).sourceMap) as { version: number; sources: string[]; mappings: string };
    expect(map).toMatchObject({ version: 3, sources: expect.arrayContaining(["index.ts", "lib/double.ts"]) });
    expect(map.mappings.length).toBeGreaterThan(20);
  });

  it("gives the same digest for the same files in any folder, through a link too", async () => {
    await using first = await temporaryFolder(FILES);
    await using second = await temporaryFolder({});
    const copy = join(second.path, "deeper/down");
    await cp(first.path, copy, { recursive: true });
    await symlink(copy, join(second.path, "link"));
    const bundles = await Promise.all([first.path, first.path, copy, join(second.path, "link")].map(buildFunction));
    expect(new Set(bundles.map(digest)).size).toBe(1);
    for (const text of bundles.flatMap(({ code, sourceMap }) => [code, sourceMap])) {
      expect(text).not.toContain(first.path);
      expect(text).not.toContain(second.path);
      expect(text).not.toContain(process.cwd());
    }
  });

  it("is not changed by a tsconfig.json around it", async () => {
    await using plain = await temporaryFolder(FILES);
    const paths = { compilerOptions: { target: "es2015", jsx: "react", experimentalDecorators: true } };
    await using configured = await temporaryFolder({ ...FILES, "tsconfig.json": JSON.stringify(paths) });
    expect(digest(await buildFunction(configured.path))).toBe(digest(await buildFunction(plain.path)));
  });

  it("gives another digest when the code or the manifest changes, and the same when only a comment of the manifest does", async () => {
    await using first = await temporaryFolder(FILES);
    await using code = await temporaryFolder({ ...FILES, "table.json": '{"factor": 4}' });
    await using manifest = await temporaryFolder({ ...FILES, "function.yaml": `${MANIFEST}concurrency: 2\n` });
    await using comment = await temporaryFolder({ ...FILES, "function.yaml": `# new\n${MANIFEST}concurrency: 1\n` });
    const [a, b, c, d] = (await Promise.all([first, code, manifest, comment].map(({ path }) => buildFunction(path)))).map(digest);
    expect(new Set([a, b, c]).size).toBe(3);
    expect(d).toBe(a);
  });

  it("bundles packages and modules that are imported later by name", async () => {
    await using folder = await temporaryFolder({
      "function.yaml": MANIFEST,
      "index.ts": 'import four from "four";\nexport default { async handler() { return four + (await import("./later.ts")).two; } };',
      "later.ts": "export const two = 2;",
      "node_modules/four/package.json": '{"name":"four","main":"main.js"}',
      "node_modules/four/main.js": "module.exports = process.env.NODE_ENV === 'production' ? 4 : 0;",
    });
    const { default: definition } = run((await buildFunction(folder.path)).code) as { default: { handler(): Promise<number> } };
    expect(await definition.handler()).toBe(6);
  });

  it("allows imports of types from anywhere", async () => {
    await using folder = await temporaryFolder({
      "function.yaml": MANIFEST,
      "index.ts": 'import type { Stats } from "node:fs";\nexport default { handler(stats: Stats) { return stats; } };',
    });
    expect((await buildFunction(folder.path)).code).not.toContain("node:fs");
  });
});

describe("what cannot be built", () => {
  it.each<[string, string, readonly string[]]>([
    ["a syntax error", "export default { handler( { };", ["index.ts:1:30: "]],
    [
      "a module of Node",
      '\nimport { readFileSync } from "node:fs";\nexport default { handler: () => readFileSync("a") };',
      ['index.ts:2:30: import of "node:fs", a module of Node'],
    ],
    [
      "a module of Node without the prefix, required",
      'export default { handler: () => require("fs") };',
      ['index.ts:1:41: import of "fs", a module of Node'],
    ],
    [
      "native code",
      'import a from "./a.node";\nexport default { handler: () => a };',
      ['index.ts:1:15: import of "./a.node", native code'],
    ],
    [
      "a file that is not there",
      'import a from "./b.ts";\nexport default { handler: () => a };',
      ['index.ts:1:15: import of "./b.ts": there is no such file'],
    ],
    [
      "a package that is not there",
      'import a from "nowhere";\nexport default { handler: () => a };',
      ['index.ts:1:15: import of "nowhere": there is no such package here'],
    ],
    [
      "the test kit",
      'import * as a from "millrace/testing";\nexport default { handler: () => a };',
      ['import of "millrace/testing", which is for tests only'],
    ],
    [
      "an import of a computed name",
      "export default { handler: (event) => import(event.data) };",
      ["index.ts:1:38: import(event.data): only a module named in quotes"],
    ],
    [
      "an export that is not there",
      'import { a } from "./index.ts";\nexport default { handler: () => a };',
      ['index.ts:1:10: "a" is not exported by "index.ts"'],
    ],
    [
      "await at the top",
      "const a = await 1;\nexport default { handler: () => a };",
      ["index.ts:1:11: await is allowed inside the handler only"],
    ],
    ["import.meta", "export default { handler: () => import.meta.url };", ["index.ts:1:33: import.meta means nothing"]],
    [
      "no default export",
      "export const handler = 1;",
      ["index.ts:1:1: nothing is exported as default: the default export must be defineFunction({ handler"],
    ],
    [
      "a function as default export",
      "\nexport default function handler() {}",
      ["index.ts:2:16: the default export must be defineFunction"],
    ],
    [
      "a definition without a handler",
      'import { defineFunction } from "millrace";\nexport default defineFunction({ handle() {} } as never);',
      ['index.ts:2:16: it has no "handler"'],
    ],
    ["a migrate that is no function", "export default { handler() {}, migrate: 1 };", ['index.ts:1:16: "migrate" is not a function']],
    [
      "a handler that is no function",
      "const definition = { handler: 5 };\nexport { definition as default };",
      ['index.ts:2:10: "handler" is not a function'],
    ],
    [
      "defineFunction without a definition",
      'import { defineFunction } from "millrace";\nexport default defineFunction();',
      ["index.ts:2:16: the default export must be defineFunction"],
    ],
    [
      "several mistakes",
      'import "node:net";\nimport "./b.ts";\nexport default { handler: (e) => import(e) };',
      ["index.ts:1:8: import of", "index.ts:2:8: import of", "index.ts:3:34: import(e)"],
    ],
  ])("%s", async (_what, text, problems) => {
    await using folder = await temporaryFolder({ "function.yaml": MANIFEST, "index.ts": text });
    const error = await buildFunction(folder.path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "BUILD_FAILED" });
    const lines = (error as Error).message.split("\n");
    expect(lines).toEqual(problems.map((problem) => expect.stringContaining(problem)));
    expect(lines.every((line) => line.startsWith(join(folder.path, "index.ts")))).toBe(true);
  });

  it("a definition without migrate although its state has a version", async () => {
    const manifest = `${MANIFEST}state: {version: 2}\n`;
    await using folder = await temporaryFolder({ "function.yaml": manifest, "index.ts": "export default { handler() {} };" });
    await expect(buildFunction(folder.path)).rejects.toMatchObject({
      code: "BUILD_FAILED",
      message: expect.stringContaining('index.ts:1:16: it has no "migrate": function.yaml has state.version 2'),
    });
    await using other = await temporaryFolder({ "function.yaml": manifest, "index.ts": "export default { handler() {}, migrate() {} };" });
    expect((await buildFunction(other.path)).manifest.state).toEqual({ version: 2 });
  });

  it.each([
    [
      "a constant",
      'import { defineFunction } from "millrace";\nconst definition = defineFunction({ handler() {} });\nexport default definition;',
    ],
    ["a handler defined above", "const handler = () => {};\nexport default { handler };"],
    ["spread parts", "const parts = { handler() {} };\nexport default { ...parts };"],
    ["a definition made elsewhere", 'export { default } from "./other.ts";'],
    ["a name that leads to itself", "const a = (a);\nexport default a;"],
  ])("is not claimed of %s", async (_what, text) => {
    await using folder = await temporaryFolder({
      "function.yaml": MANIFEST,
      "index.ts": text,
      "other.ts": "export default { handler() {} };",
    });
    expect((await buildFunction(folder.path)).code).toContain("__millrace");
  });

  it("says what is missing and what to do", async () => {
    await using folder = await temporaryFolder({ "function.yaml": MANIFEST, "empty/a.txt": "" });
    const failure = (path: string) => buildFunction(join(folder.path, path)).catch((error: unknown) => error);
    expect(await failure("nowhere")).toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringContaining("there is no function folder"),
    });
    expect(await failure("function.yaml")).toMatchObject({ code: "FILE_UNREADABLE", message: expect.stringContaining("is not a folder") });
    expect(await failure("empty")).toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringContaining("holds no readable function.yaml"),
    });
    expect(await failure(".")).toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringContaining('entry: "index.ts" does not exist'),
    });
  });

  it("a manifest with mistakes is named as the user named the folder", async () => {
    await using folder = await temporaryFolder({ "function.yaml": "name: A\n" });
    await expect(buildFunction(folder.path)).rejects.toThrow(`${join(folder.path, "function.yaml")}:1: name: `);
  });
});
