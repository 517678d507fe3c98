import { describe, expect, it } from "vitest";
import { GUEST_MODULES } from "../../src/runtime/host/guest-script.ts";
import { guestScopeProblems, topLevelNames } from "./rules/guest-scope.ts";
import { plant, readFiles } from "./rules/tree.ts";

describe("the scope that the guest modules share", () => {
  const files = readFiles(["src/runtime/host"], [".ts"]);

  it("has each name once", () => {
    expect(guestScopeProblems(files, GUEST_MODULES)).toEqual([]);
  });

  it("is that of every guest module that declares a value", () => {
    const modules = [...files].flatMap(([file, text]) => {
      const module = /\/(guest(?!-script)[^/]*)\.ts$/.exec(file)?.[1];
      return module === undefined || topLevelNames(file, text).length === 0 ? [] : [module];
    });
    expect([...GUEST_MODULES].toSorted()).toEqual(modules.toSorted());
  });

  it.each([
    ["a constant and a function", "const same = 1;", "export function same() {}"],
    ["classes", "class same {}", "export class same {}"],
    ["what is taken apart", "const { a: [same] } = x;", "const { same = 1, ...rest } = x;"],
  ])("refuses the same name for %s", (_what, one, other) => {
    const planted = plant({ "src/runtime/host/guest-a.ts": one, "src/runtime/host/guest-b.ts": other });
    expect(guestScopeProblems(planted, ["guest-a", "guest-b"])).toEqual([
      expect.stringContaining('"same" is declared at the top level of src/runtime/host/guest-a.ts and src/runtime/host/guest-b.ts'),
    ]);
  });

  it("allows types, and names inside of functions", () => {
    const planted = plant({
      "src/runtime/host/guest-a.ts": "type same = 1; const a = () => { const inner = 1; };",
      "src/runtime/host/guest-b.ts": "export interface same {} function b() { const inner = 1; }",
    });
    expect(guestScopeProblems(planted, ["guest-a", "guest-b"])).toEqual([]);
  });
});
