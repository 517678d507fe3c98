import { describe, expect, it } from "vitest";
import { exportsOf, sizeProblems } from "./rules/sizes.ts";
import { plant, readFiles } from "./rules/tree.ts";

describe("sizes", () => {
  it("keep every file small enough to be read at once", () => {
    const files = readFiles(["src", "bench", "functions", "scripts", "bin", "test"], [".ts", ".mjs"]);
    expect(files.size).toBeGreaterThan(10);
    expect(sizeProblems(files)).toEqual([]);
  });

  it.each([
    ["a long file", "x();\n".repeat(401), "401 lines, at most 400"],
    ["a wide line", `x();\n// ${"y".repeat(158)}\n`, "a.ts:2: 161 columns"],
    ["many exports", Array.from({ length: 11 }, (_, index) => `export const x${index} = 1;\n`).join(""), "11 exports"],
  ])("refuse %s", (_what, text, problem) => {
    expect(sizeProblems(plant({ "a.ts": text }))).toEqual([expect.stringContaining(problem)]);
  });

  it("allow what is exactly at the bound", () => {
    expect(sizeProblems(plant({ "a.ts": "x();\n".repeat(400), "b.ts": `// ${"y".repeat(157)}\n` }))).toEqual([]);
  });

  it("count every form of export, and a schema with its type once", () => {
    const text = [
      "export interface A {}",
      "export async function b(): Promise<void> {}",
      "export type { C, D } from './c.ts';",
      "export abstract class E {}",
      "export const eventSchema = 1;",
      "export type Event = typeof eventSchema;",
      "const inner = 'export const no = 1';",
    ].join("\n");
    expect(exportsOf(text)).toEqual(["A", "b", "E", "eventSchema", "C", "D"]);
  });
});
