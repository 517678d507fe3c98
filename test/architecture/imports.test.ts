import { describe, expect, it } from "vitest";
import { importProblems, importsOf } from "./rules/imports.ts";
import { plant, readFiles } from "./rules/tree.ts";

const core = { "src/core/clock.ts": "export const clock = 1;\n" };

describe("imports", () => {
  it("point one way in src, without cycles", () => {
    const files = readFiles(["src"], [".ts"]);
    expect(files.size).toBeGreaterThan(10);
    expect(importProblems(files)).toEqual([]);
  });

  it("finds every form of import and nothing else", () => {
    const text = [
      'import "./a.ts";',
      'import type { B } from "./b.ts";',
      "import {",
      "  c,",
      "  type C,",
      '} from "./c.ts";',
      'import * as d from "./d.ts";',
      'export { e } from "./e.ts";',
      'export type { F } from "./f.ts";',
      'export * from "./g.ts";',
      'const later = await import("./h.ts");',
      'type I = import("./i.ts").I;',
      '// import "./no.ts";',
      'export const from = "./no.ts";',
      'export function important(text = "./no.ts"): string {',
    ].join("\n");
    expect(importsOf(text).map(({ specifier }) => specifier)).toEqual("abcdefghi".split("").map((name) => `./${name}.ts`));
    expect(importsOf(text)[2]).toEqual({ specifier: "./c.ts", line: 3 });
  });

  it.each([
    [
      "a part that imports another",
      { ...core, "src/broker/a.ts": 'import type { B } from "../journal/b.ts";', "src/journal/b.ts": "" },
      "broker must not import journal",
    ],
    [
      "core that imports a part",
      { "src/core/a.ts": 'import { b } from "../sync/b.ts";', "src/sync/b.ts": "" },
      "core must not import sync",
    ],
    [
      "a part that imports the composition root",
      { "src/runtime/a.ts": 'import "../gateway.ts";', "src/gateway.ts": "" },
      "runtime must not import gateway.ts",
    ],
    [
      "the gateway that imports the control plane",
      { "src/gateway.ts": 'import "./control/b.ts";', "src/control/b.ts": "" },
      "gateway.ts must not import control",
    ],
    [
      "a dynamic import across parts",
      { "src/sync/a.ts": 'const b = await import("../http/b.ts");', "src/http/b.ts": "" },
      "sync must not import http",
    ],
    ["a computed import", { ...core, "src/cli/a.ts": "const b = await import(name);" }, "computed name"],
    ["a folder the design does not know", { "src/utils/a.ts": "export const a = 1;" }, '"utils" is not a layer'],
    ["src that imports a test", { "src/cli/a.ts": 'import { b } from "../../test/support/b.ts";' }, "leads out of src"],
    ["a file that is not there", { "src/cli/a.ts": 'import { b } from "./b.js";' }, "is no file of src"],
    [
      "the host that imports the rest of the runtime",
      { "src/runtime/host/a.ts": 'import "../b.ts";', "src/runtime/b.ts": "" },
      "only core and itself",
    ],
    ["the SDK that needs Node", { "src/sdk/index.ts": 'import { readFileSync } from "node:fs";' }, "without Node"],
    [
      "a cycle of types",
      { "src/core/a.ts": 'import type { B } from "./b.ts";', "src/core/b.ts": 'import type { A } from "./a.ts";' },
      "cycle: src/core/a.ts → src/core/b.ts → src/core/a.ts",
    ],
    ["a barrel", { ...core, "src/core/index.ts": 'export { clock } from "./clock.ts";\n' }, "nothing but re-exports"],
    [
      "a barrel in two steps",
      { ...core, "src/core/index.ts": 'import { clock } from "./clock.ts";\nexport { clock };\n' },
      "nothing but re-exports",
    ],
    ["export *", { ...core, "src/core/b.ts": 'export * from "./clock.ts";\nexport const b = 1;\n' }, "makes a barrel"],
    ["the environment", { "src/broker/a.ts": "const home = process.env.HOME;" }, "reads the environment"],
    ["the environment under another name", { "src/broker/a.ts": 'import { env } from "node:process";' }, "reads the environment"],
  ])("refuses %s", (_what, files, problem) => {
    expect(importProblems(plant(files))).toEqual([expect.stringContaining(problem)]);
  });

  it("lets the test kit read manifests, and only manifests", () => {
    const files = {
      "src/sdk/testing.ts": 'import "../runtime/build/a.ts";\nimport "../runtime/b.ts";',
      "src/runtime/build/a.ts": "",
      "src/runtime/b.ts": "",
    };
    expect(importProblems(plant(files))).toEqual(['src/sdk/testing.ts:2: sdk must not import runtime ("../runtime/b.ts")']);
  });

  it("lets the configuration read the environment and the SDK be an entry", () => {
    const files = {
      ...core,
      "src/core/config.ts": "const home = process.env.HOME;",
      "src/sdk/index.ts": 'export { clock } from "../core/clock.ts";',
    };
    expect(importProblems(plant(files))).toEqual([]);
  });
});
