import { describe, expect, it } from "vitest";
import { OVERFLOWS } from "../../../src/core/manifest.ts";
import { laneOfRule, LANES, overflowOf, pressureOf, priorityOf } from "../../../src/core/outbox-lanes.ts";
import { compileOutboxRules, DEFAULT_RULE } from "../../../src/core/outbox-rules.ts";

const everyRule = OVERFLOWS.flatMap((overflow) => Array.from({ length: 10 }, (_, priority) => ({ priority, overflow })));

describe("outbox rules", () => {
  it("are the first that matches, or the default", () => {
    const alarms = { types: ["alarm", "com.example.*"], priority: 9, overflow: "block" } as const;
    const rest = { types: ["com.*"], priority: 1, ttlMs: 5, overflow: "drop-newest" } as const;
    const ruleOf = compileOutboxRules([alarms, rest]);
    expect(["alarm", "com.example.x", "com.other", "alarms"].map(ruleOf)).toEqual([alarms, alarms, rest, DEFAULT_RULE]);
    for (let n = 0; n < 3_000; n++) expect(ruleOf(`made up ${n}`)).toBe(DEFAULT_RULE);
    expect(ruleOf("alarm")).toBe(alarms);
  });

  it("have a lane each by priority and overflow, the most urgent first, and the lane says which", () => {
    const lanes = everyRule.map(laneOfRule);
    expect(new Set(lanes).size).toBe(LANES);
    expect(everyRule.map(laneOfRule).map((lane) => ({ priority: priorityOf(lane), overflow: overflowOf(lane) }))).toEqual(everyRule);
    expect(laneOfRule({ priority: 9, overflow: "keep-latest" })).toBeLessThan(laneOfRule({ priority: 8, overflow: "block" }));
  });

  it("have a bit of pressure each where somebody may have to wait", () => {
    const bits = everyRule.map(pressureOf).filter((bit) => bit !== 0);
    expect(bits).toHaveLength(20);
    expect(new Set(bits).size).toBe(20);
    expect(bits.reduce((all, bit) => all | bit)).toBe(2 ** 20 - 1);
  });
});
