import { describe, expect, it } from "vitest";
import { rollcall } from "../../../src/cli/deploy/await-gateways.ts";
import { eventLine } from "../../../src/cli/events.ts";
import { exampleTopic, exampleValue } from "../../../src/cli/invoke/sample.ts";
import { effectsText } from "../../../src/cli/invoke/effects.ts";
import { gatewaysTable } from "../../../src/cli/gateways.ts";
import { logLine } from "../../../src/cli/logs.ts";
import { gatewaysText } from "../../../src/cli/publish.ts";
import { statsText } from "../../../src/cli/stats.ts";
import { clip, printable, table } from "../../../src/cli/terminal/text.ts";
import type { GatewayInfo } from "../../../src/core/control-api.ts";
import type { InvokeResult } from "../../../src/core/stats.ts";
import { functionStats, gatewayStats } from "./stats-samples.ts";

const nothing: InvokeResult = { ok: true, state: [], publishes: [], events: [], logs: [], durationMs: 3.21 };

describe("effects", () => {
  it("stand under a heading for each kind", () => {
    const result: InvokeResult = {
      ...nothing,
      state: [
        { key: "aq1", name: "on", value: true },
        { key: "aq1", name: "old", value: undefined },
      ],
      publishes: [{ topic: "cmd/aq1/fan", payload: '{"on":true}', qos: 1, retain: true }],
      events: [{ type: "alert", subject: "aq1", data: { v: 81 } }],
      logs: [{ level: "info", message: "hot\u001b[31m" }],
    };
    expect(effectsText("threshold-alert", result)).toBe(
      [
        "logs",
        "  info   hot [31m",
        "state",
        "  aq1  on = true",
        "  aq1  old deleted",
        "publishes",
        '  cmd/aq1/fan  {"on":true}  (QoS 1, retained)',
        "events",
        '  alert  aq1  {"v":81}',
        "threshold-alert: ok in 3.2 ms; nothing of this was committed",
        "",
      ].join("\n"),
    );
    expect(effectsText("f", nothing)).toBe("f: ok in 3.2 ms, no effects\n");
  });

  it("of a failure are its code, message and frames", () => {
    const error = { code: "FUNCTION_THREW", message: "no v", stack: "Error: no v\n    at handler (index.ts:3:9)" };
    expect(effectsText("f", { ...nothing, ok: false, error, durationMs: 45.6 })).toBe(
      "f: failed in 46 ms: FUNCTION_THREW: no v\n    at handler (index.ts:3:9)\n",
    );
  });
});

it.each([
  ["sensors/+site/+device/raw", "sensors/site/device/raw"],
  ["a/+/b/#", "a/x/b/x"],
  ["#", "x"],
  ["plain", "plain"],
])("the example topic of %s is %s", (filter, topic) => {
  expect(exampleTopic(filter)).toBe(topic);
});

const gateway = (id: string, functions: GatewayInfo["functions"], connected = true): GatewayInfo => ({
  id,
  connected,
  lastSeen: "",
  connectedAt: "",
  version: "",
  labels: {},
  revision: 1,
  drops: [],
  functions,
});

describe("the roll call of gateways", () => {
  const target = { name: "f", version: 2, digest: "new", unchanged: false };
  const gateways = [
    gateway("a", [{ name: "f", version: 2, digest: "new", state: "active" }]),
    gateway("b", [{ name: "f", version: 1, digest: "old", state: "active" }]),
    gateway("c", [
      { name: "f", version: 1, digest: "old", state: "active" },
      { name: "f", version: 2, digest: "new", state: "failed", error: "boom" },
    ]),
    gateway("d", [], false),
  ];

  it("tells who runs it, who could not and who has not answered", () => {
    expect(rollcall(target, gateways)).toEqual({ active: ["a"], failed: [{ gateway: "c", error: "boom" }], waiting: ["b"] });
  });

  it("is put into words", () => {
    const outcome = { ...target, gateways: rollcall(target, gateways) };
    expect(gatewaysText([outcome])).toBe("f v2 failed on c: boom\nf v2 is not active on b yet\n");
    expect(gatewaysText([{ ...target, gateways: rollcall(target, gateways.slice(0, 1)) }])).toBe("active on a\n");
    expect(gatewaysText([{ ...target, gateways: rollcall(target, []) }])).toMatch(/no gateway is connected/);
  });
});

it("what gateways dropped stands in their list, in sum and one by one", () => {
  const drops = [
    { function: "f", reason: "outbox-expired", count: 1_200 },
    { function: "g", reason: "outbox-overflow", count: 3 },
  ];
  const text = gatewaysTable([{ ...gateway("milan", []), drops }, gateway("rome", [], false)]);
  expect(text).toMatch(/^milan +yes .* 1,203/m);
  expect(text).toMatch(/^rome +no .* 0/m);
  expect(text).toContain("milan: f dropped 1,200 (outbox-expired)\nmilan: g dropped 3 (outbox-overflow)\n");
});

it("functions that do not run on a gateway stand below the list, each on one short line", () => {
  const error = `HOST_CRASHED: \u001b[2Jgone\n${"x".repeat(500)}`;
  const text = gatewaysTable([
    gateway("milan", [
      { name: "f", version: 1, digest: "a", state: "active", problems: [{ code: "SECRET_MISSING", message: "set it" }] },
      { name: "g", version: 2, digest: "b", state: "quarantined", error },
    ]),
    gateway("rome", [{ name: "f", version: 1, digest: "a", state: "failed", error: "boom" }]),
  ]);
  expect(text).toMatch(/^milan: g v2 is quarantined: HOST_CRASHED: {2}?\[2Jgone x{1,200}…$/m);
  expect(text).toContain("milan: f v1: SECRET_MISSING: set it\n");
  expect(text).toContain("rome: f v1 failed: boom\n");
  expect(text).not.toContain("f v1 is");
});

describe("lines", () => {
  it("of an event and of a log record are one line, whatever they hold", () => {
    const event = {
      specversion: "1.0",
      id: "g:1:f:0",
      source: "/gateways/g/functions/f",
      type: "measurement",
      subject: "aq1\n\u001b[2J",
      time: "2026-01-02T03:04:05.000Z",
      datacontenttype: "application/json",
      data: { v: 1 },
      gateway: "g",
      function: "f",
      functionversion: 3,
      position: 9,
    } as const;
    expect(eventLine(event)).toBe('2026-01-02T03:04:05.000Z  g  f v3  measurement  aq1 [2J  {"v":1}');
    const record = { n: 1, time: 0, level: "warn", function: "f", version: 3, invocation: "12.1", message: "a\nb" } as const;
    expect(logLine(record)).toBe("1970-01-01T00:00:00.000Z  warn   f v3 #12.1  a b");
    expect(logLine({ ...record, fields: { a: "\n" } })).toBe('1970-01-01T00:00:00.000Z  warn   f v3 #12.1  a b {"a":"\\n"}');
  });

  it("of a table are aligned and of text clipped", () => {
    const rows = [
      ["a", "1"],
      ["long", "1,000"],
    ];
    expect(table(["name", "n"], rows, ["n"])).toBe("NAME      N\na         1\nlong  1,000\n");
    expect([clip("abcdef", 4), clip("abc", 4), clip("abc", 0)]).toEqual(["abc…", "abc", ""]);
    expect(printable("a\r\n\tb")).toBe("a b");
  });

  it("of the statistics add the functions up", () => {
    const text = statsText(
      gatewayStats({ functions: [functionStats("a"), functionStats("b", { failed: 2, state: "failed", error: "boom" })] }),
    );
    expect(text).toContain("broker   123,456 received, 1 delivered, 7 clients");
    expect(text).toMatch(/total +24,690 +2 +0/);
    expect(text).toMatch(/^a .* 1\.1$/m);
    expect(text).toContain("b: boom");
    expect(statsText(gatewayStats({ link: { connected: false, url: "mqtt://x", error: "refused" } }))).toContain("down (refused)");
    expect(statsText(gatewayStats())).toContain("no function runs here");
  });
});

it.each([
  ["limits/*", { key: "limits", name: "x" }],
  ["sensors/a*/limit", { key: "sensors/ax", name: "limit" }],
  ["limit", { key: "x", name: "limit" }],
])("a value that the pattern %s matches", (pattern, value) => {
  expect(exampleValue(pattern)).toEqual(value);
});
