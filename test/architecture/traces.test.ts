import { describe, expect, it } from "vitest";
import { plant, readFiles } from "./rules/tree.ts";
import { traceProblems } from "./rules/traces.ts";

describe("traces", () => {
  it("of the machine it was written on are nowhere in the checkout", () => {
    const tops = [
      "src",
      "docs",
      "scripts",
      "bin",
      "bench",
      "functions",
      "deploy",
      "test",
      ".ci",
      "README.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
    ];
    const files = readFiles([...tops, "package.json", "tsconfig.json", "vitest.config.ts", ".oxlintrc.json"], [""]);
    expect(files.size).toBeGreaterThan(20);
    expect(traceProblems(files)).toEqual([]);
  });

  it("are found, and what only looks like one is not", () => {
    const planted = plant({
      "src/a.ts": ['const data = "/ro', 'ot/data";'].join(""),
      "docs/b.md": ["see https://example.com/wo", "rk/x and ./wo", "rk/y\n`/wo", "rk`\n"].join(""),
      ".ci/c": ["cd /ho", "me/me && ls\n"].join(""),
    });
    expect(traceProblems(planted)).toEqual([
      expect.stringContaining("src/a.ts:1:"),
      expect.stringContaining("docs/b.md:2:"),
      expect.stringContaining(".ci/c:1:"),
    ]);
  });
});
