import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { decisionProblems, linkProblems } from "./rules/docs.ts";
import { plant, readFiles, ROOT } from "./rules/tree.ts";

const pages = readFiles(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "functions", "bench", "deploy"], [".md"]);

describe("documents", () => {
  it("link only to what is there", () => {
    expect(pages.size).toBeGreaterThan(0);
    expect(linkProblems(pages, (path) => existsSync(join(ROOT, path)))).toEqual([]);
  });

  it("are told when a link leads nowhere", () => {
    const planted = plant({
      "docs/a.md": [
        "# First part: `x`",
        "[good](b.md), [root](../README.md), [web](https://example.com/x.md), [here](#first-part-x), [there](b.md#two)",
        "`[code](no.md)`",
        "```",
        "[fenced](no.md)",
        "```",
        "[bad](c.md)",
        "[anchor](b.md#three) ![picture](no.png)",
        "[definition]: no.md",
        "[out](../../x)",
      ].join("\n"),
      "docs/b.md": "# Two\n```sh\n# three\n```\n",
    });
    expect(linkProblems(planted, (path) => ["docs/a.md", "docs/b.md", "README.md"].includes(path))).toEqual([
      'docs/a.md:7: "c.md" leads nowhere',
      'docs/a.md:8: docs/b.md has no heading "#three"',
      'docs/a.md:8: "no.png" leads nowhere',
      'docs/a.md:9: "no.md" leads nowhere',
      'docs/a.md:10: "../../x" leads nowhere',
    ]);
  });

  it("of decisions say when, what was refused and by which figure", () => {
    const decisions = [...pages].filter(([page]) => page.startsWith("docs/decisions/") && basename(page) !== "README.md");
    expect(decisions.length).toBeGreaterThan(0);
    expect(decisionProblems(new Map(decisions))).toEqual([]);
  });

  it("of decisions are told what is missing", () => {
    const good = "# Ack after fsync\n\nDate: 2026-11-20\n\n## Options refused\n\nAck first: 80,000 msg/s against 81,000.\n";
    expect(decisionProblems(plant({ "a.md": good }))).toEqual([]);
    expect(decisionProblems(plant({ "a.md": "# Something\n\nIt is 3 small things, in version 7.0.1.\n" }))).toEqual([
      "a.md: no date (YYYY-MM-DD) in its first lines",
      "a.md: no heading that names the options refused",
      "a.md: no figure with a unit",
    ]);
  });
});
