import { describe, expect, it } from "vitest";
import type { DevState } from "../../../src/cli/dev/model.ts";
import { functionNotes } from "../../../src/cli/dev/monitor.ts";
import { summary } from "../../../src/cli/dev/output.ts";
import { panel } from "../../../src/cli/dev/panel.ts";
import { coloured, elapsed, plain, shortCount, sparkline } from "../../../src/cli/dev/style.ts";
import { gatewayStats, functionStats } from "./stats-samples.ts";

function state(change: Partial<DevState> = {}): DevState {
  return {
    startedAt: 0,
    now: 192_000,
    phase: "running",
    addresses: { mqtt: "mqtt://127.0.0.1:1883", http: "http://127.0.0.1:8330", control: "http://127.0.0.1:8340" },
    data: ".millrace",
    functionsDir: "functions",
    watching: true,
    gateway: gatewayStats({
      functions: [functionStats("downsample"), functionStats("normalize-air-quality", { failed: 4, backlog: 12 })],
    }),
    gatewayAnswers: true,
    stored: 45_678,
    devices: 7,
    history: [10, 20, 19.8],
    broken: new Map(),
    notes: [{ time: new Date(2026, 0, 2, 3, 4, 5).getTime(), level: "info", text: "downsample v3 is active" }],
    ...change,
  };
}

const size = { width: 80, height: 40 };
const text = (change: Partial<DevState> = {}, at = size): string => panel(state(change), at, plain).join("\n");
const withoutColours = (line: string): string =>
  line
    .split("\u001b")
    .map((part, index) => (index === 0 ? part : part.replace(/^\[\d+m/, "")))
    .join("");

describe("panel", () => {
  it("shows addresses, the journey of the messages, functions and notes", () => {
    expect(text()).toMatchInlineSnapshot(`
      " millrace dev                                                       up 3 m 12 s
      ───────────────────────────────────────────────────────────────────────────────
       sensors   mqtt://127.0.0.1:1883        gateway   http://127.0.0.1:8330
       cloud     http://127.0.0.1:8340        data      .millrace

       sensors        broker         functions      outbox         cloud
       19.8/s    ──▶  123.5k    ──▶  24,690    ──▶  3         ──▶  45,678
       messages       messages in    handled        pending        events stored
       7 simulated    ● up           4 failed       12 backlog     ● link up

       ▅██  messages/s, at most 20

       FUNCTION                    VERSION  STATE       HANDLED    FAILED   BACKLOG
       downsample                  v3       active       12,345         0         0
       normalize-air-quality       v3       active       12,345         4        12

       03:04:05 downsample v3 is active

       Ctrl-C to stop · a change in functions/ is published at once"
    `);
  });

  it("is the same with colours, but for the colours", () => {
    const lines = panel(state(), size, coloured);
    expect(lines.join()).toContain("\u001b[32m");
    expect(lines.map(withoutColours).map((line) => line.trimEnd())).toEqual(
      text()
        .split("\n")
        .map((line) => line.trimEnd()),
    );
  });

  it.each([20, 40, 72, 80, 132])("fits into %i columns and any number of rows", (width) => {
    const change: Partial<DevState> = {
      data: "/a/long/path/".repeat(12),
      gateway: gatewayStats({
        functions: Array.from({ length: 40 }, (_, index) => functionStats(`${"name-".repeat(12)}${index}`, { handled: 10 ** (index % 9) })),
      }),
      history: Array.from({ length: 60 }, (_, index) => 10 ** (index % 9)),
      notes: Array.from({ length: 50 }, () => ({ time: 0, level: "error" as const, text: "x\u001b[31m\n".repeat(80) })),
    };
    for (const height of [3, 10, 24, 60]) {
      const lines = panel(state(change), { width, height }, coloured).map(withoutColours);
      expect(lines.length).toBeLessThan(height);
      for (const line of lines) expect(line.length).toBeLessThan(width);
      for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u);
    }
  });

  it("tells a function that does not build from one that failed to load and one that works", () => {
    const functions = [functionStats("a"), functionStats("b", { state: "failed", error: "no" }), functionStats("c")];
    const shown = text({
      gateway: gatewayStats({ functions }),
      broken: new Map([
        ["c", "x"],
        ["d", "y"],
      ]),
    });
    expect(shown).toMatch(/ a +v3 +active /);
    expect(shown).toMatch(/ b +v3 +failed /);
    expect(shown).toMatch(/ c +v3 +no build /);
    expect(shown).toMatch(/ d +– +no build/);
  });

  it("says what is down", () => {
    expect(text({ gatewayAnswers: false })).toMatch(/● down .*● link down/);
    expect(text({ gateway: gatewayStats({ link: { connected: false, url: "mqtt://x" } }) })).toMatch(/● up .*● link down/);
  });

  it("has something to say before anything has answered, and at the end", () => {
    const early = text({
      phase: "starting",
      addresses: undefined,
      gateway: undefined,
      gatewayAnswers: false,
      stored: undefined,
      history: [],
      notes: [],
    });
    expect(early).toContain("starting …");
    expect(early).toContain("none yet; put one into functions/");
    expect(text({ phase: "stopped" })).toContain("stopped; the data stays in .millrace/");
    expect(text({ watching: false })).toMatch(/Ctrl-C to stop$/);
  });
});

describe("summary line", () => {
  it("has the figures of the panel", () => {
    expect(summary(state())).toBe("in 123456 (19.8/s)  handled 24690  failed 4  stored in the cloud 45678  pending 3  link up");
    expect(summary(state({ gateway: undefined }))).toBe("the gateway has not answered yet");
  });
});

describe("function notes", () => {
  it("tell of new versions and failures, once", () => {
    const before = [
      functionStats("a"),
      functionStats("b", { state: "failed", error: "no" }),
      functionStats("c", { state: "failed", error: "no" }),
    ];
    const after = [
      functionStats("a", { version: 4 }),
      functionStats("b", { state: "failed", error: "no" }),
      functionStats("c"),
      functionStats("d"),
    ];
    expect(functionNotes(before, after).map(({ text: line }) => line)).toEqual(["a v4 is active", "c v3 is active", "d v3 is active"]);
    expect(functionNotes(after, after)).toEqual([
      // The failure of b is the same as before.
    ]);
    expect(functionNotes([], before.slice(1, 2))).toEqual([{ level: "error", text: "b: no" }]);
  });
});

describe("small shapes", () => {
  it.each([
    [0, "0 s"],
    [59_999, "59 s"],
    [192_000, "3 m 12 s"],
    [7_200_000, "2 h 0 m"],
    [90_061_000, "1 d 1 h"],
  ])("elapsed %i", (ms, expected) => {
    expect(elapsed(ms)).toBe(expected);
  });

  it.each([
    [0, "0"],
    [99_999, "99,999"],
    [123_456, "123.5k"],
    [12_345_678, "12.35M"],
    [5e9, "5.00G"],
  ])("count %i", (value, expected) => {
    expect(shortCount(value)).toBe(expected);
  });

  it("sparkline", () => {
    expect(sparkline([])).toBe("");
    expect(sparkline([0, 0])).toBe("▁▁");
    expect(sparkline([0, 5, 10])).toBe("▁▅█");
  });
});
