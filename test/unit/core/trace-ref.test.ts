import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventId } from "../../../src/core/event.ts";
import { parseTraceRef } from "../../../src/core/trace-ref.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

describe("what is to be followed", () => {
  it.each([
    ["48211", { kind: "message", seq: 48_211 }],
    ["#48211", { kind: "message", seq: 48_211 }],
    ["milan-1:48211", { kind: "message", gateway: "milan-1", seq: 48_211 }],
    ["48211.2", { kind: "invocation", seq: 48_211, attempt: 2 }],
    ["#48211.2", { kind: "invocation", seq: 48_211, attempt: 2 }],
    ["milan-1:48211.2", { kind: "invocation", gateway: "milan-1", seq: 48_211, attempt: 2 }],
    ["milan-1:48211:celsius:0", { kind: "event", gateway: "milan-1", seq: 48_211, function: "celsius", index: 0 }],
    [TRACE, { kind: "trace", traceId: TRACE }],
    [`00-${TRACE}-00f067aa0ba902b7-01`, { kind: "trace", traceId: TRACE }],
    ["1".repeat(32), { kind: "trace", traceId: "1".repeat(32) }],
  ])("is read from %s", (text, ref) => {
    expect(parseTraceRef(text)).toEqual(ref);
  });

  it.each([
    "",
    "-1",
    "1.0",
    "1.",
    "a:b",
    "milan-1:",
    "0".repeat(32),
    TRACE.toUpperCase(),
    "9".repeat(16),
    "g:1:f",
    "g:1:f:x",
    "1.2.3",
    "1 ",
  ])("is not read from %j", (text) => {
    expect(parseTraceRef(text)).toBeUndefined();
  });

  it("is any id of an event, and ends in nothing else for any text", () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,7}$/);
    fc.assert(
      fc.property(name, fc.nat(2 ** 40), name, fc.nat(1_000), (gateway, seq, functionName, index) => {
        expect(parseTraceRef(eventId(gateway, seq, functionName, index))).toEqual({
          kind: "event",
          gateway,
          seq,
          function: functionName,
          index,
        });
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f.:#-]{0,40}$/), (text) => {
        const ref = parseTraceRef(text);
        expect(ref === undefined || ref.kind === "trace" || Number.isSafeInteger(ref.seq)).toBe(true);
      }),
    );
  });
});
