import { describe, expect, it } from "vitest";
import { NO_USAGE } from "../../../src/core/usage.ts";
import type { Observation } from "../../hostile/attack.ts";
import { SNIPPETS } from "../../hostile/snippets.ts";
import { judge } from "../../hostile/verdict.ts";

const pace = { samples: 1_000, p50: 1, p99: 2, max: 3, ackMax: 1 };
const stats = {
  name: "x",
  version: 1,
  digest: "",
  state: "active",
  from: 0,
  handled: 2,
  failed: 4,
  retried: 2,
  deadLettered: 2,
  duplicates: 0,
  emitted: 0,
  published: 0,
  backlog: 0,
  instances: 0,
  starts: { count: 1, pooled: 1, cached: 0, isolateMs: 0, compileMs: 0, initMs: 0, firstCalls: 0, firstCallMs: 0 },
  usage: NO_USAGE,
} as const;

const good: Observation = {
  snippet: { name: "x", expects: ["LIMIT_CPU"], handler: "for (;;);" },
  quiet: pace,
  during: { ...pace, p99: 3.9 },
  sent: 4,
  stats,
  told: { letters: { LIMIT_CPU: 2 }, codes: ["LIMIT_CPU"], text: "LIMIT_CPU: too long" },
  unsettled: 0,
  hostDeaths: 0,
  complaints: [],
  seconds: 1,
};

describe("the verdict", () => {
  it("finds nothing wrong with what is as expected", () => {
    expect(judge(good)).toEqual({ problems: [], slowness: [], ratio: 1.95 });
  });

  it.each<[string, Partial<Observation>, RegExp]>([
    ["a neighbour that lost a message", { complaints: ["1 message was never answered"] }, /never answered/],
    ["messages that are still waiting", { unsettled: 3 }, /3 of its messages are still waiting/],
    [
      "another code",
      { told: { letters: { HOST_CRASHED: 1 }, codes: ["HOST_CRASHED"], text: "HOST_CRASHED: x" } },
      /HOST_CRASHED instead of LIMIT_CPU/,
    ],
    [
      "one letter with another code",
      { told: { ...good.told, letters: { LIMIT_CPU: 1, FUNCTION_THREW: 1 } } },
      /FUNCTION_THREW instead of LIMIT_CPU/,
    ],
    ["silence", { told: { letters: {}, codes: [], text: "" } }, /told nothing instead of LIMIT_CPU/],
    ["words without a code", { told: { letters: {}, codes: [], text: "it went wrong" } }, /"it went wrong" instead of LIMIT_CPU/],
    [
      "an odd function that was not handled",
      { snippet: { ...good.snippet, expects: ["harmless"] }, told: { ...good.told, letters: { FUNCTION_THREW: 1 } } },
      /FUNCTION_THREW instead of harmless/,
    ],
    [
      "an odd function that does not even load",
      {
        snippet: { ...good.snippet, expects: ["harmless"] },
        stats: { ...stats, state: "failed" },
        told: { letters: {}, codes: [], text: "no" },
      },
      /"no" instead of harmless/,
    ],
    [
      "effects that should not be",
      { snippet: { ...good.snippet, mute: true }, stats: { ...stats, emitted: 1 } },
      /1 events and publishes got out/,
    ],
  ])("sees %s", (_what, change, problem) => {
    const { problems, slowness } = judge({ ...good, ...change });
    expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(slowness).toEqual([]);
  });

  it("sees a neighbour that is slow and a broker that does not answer, but only with enough samples", () => {
    const during = { ...pace, p99: 4, ackMax: 1_500 };
    expect(judge({ ...good, during }).slowness).toEqual([expect.stringContaining("2.0 times"), expect.stringContaining("1500 ms")]);
    expect(judge({ ...good, during: { ...during, samples: 999 } }).slowness).toEqual([]);
  });
});

it("the snippets are at least sixty, have names of their own and either parts of a function or the whole code", () => {
  expect(SNIPPETS.length).toBeGreaterThanOrEqual(60);
  expect(new Set(SNIPPETS.map(({ name }) => name)).size).toBe(SNIPPETS.length);
  for (const { code, handler, batch, init, prelude } of SNIPPETS)
    expect([handler, batch, init, prelude].some((part) => part !== undefined)).toBe(code === undefined);
});
