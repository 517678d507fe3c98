import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage, encodeMessage } from "../../../src/core/message.ts";
import { propertyBytes, withProperties } from "../../../src/core/message-properties.ts";
import {
  isSampled,
  isTraceId,
  parseTraceparent,
  parseTracestate,
  spanId,
  traceAttributes,
  traceOfProperties,
} from "../../../src/core/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const VALID = `00-${TRACE}-${PARENT}-01`;

const hex = (digits: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)).filter((text) => !/^0+$/.test(text));
const parent = fc.record({ traceId: hex(32), parentId: hex(16), flags: fc.nat(255) });

describe("a traceparent", () => {
  it("of version 00 is read, and of its flags those that are known", () => {
    expect(parseTraceparent(VALID)).toEqual({ traceId: TRACE, parentId: PARENT, flags: 1 });
    expect(parseTraceparent(VALID.replace(/01$/, "fe"))?.flags).toBe(2);
  });

  it.each([
    ["nothing", ""],
    ["upper case", VALID.toUpperCase()],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${PARENT}-01`],
    ["a parent id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["version ff", `ff-${TRACE}-${PARENT}-01`],
    ["a version of one digit", VALID.slice(1)],
    ["something behind version 00", `${VALID}-`],
    ["something behind the flags of a later version that begins with no dash", `cc-${TRACE}-${PARENT}-01.what`],
    ["a short trace id", `00-${TRACE.slice(1)}-${PARENT}-01`],
    ["spaces", ` ${VALID}`],
    ["a line feed at its end", `${VALID}\n`],
    ["other digits", `00-${TRACE.replace("4", "g")}-${PARENT}-01`],
  ])("is ignored with %s", (_, text) => {
    expect(parseTraceparent(text)).toBeUndefined();
  });

  it("of a later version is read as far as it is known", () => {
    for (const text of [`cc-${TRACE}-${PARENT}-01`, `cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`]) {
      expect(parseTraceparent(text)).toEqual({ traceId: TRACE, parentId: PARENT, flags: 1 });
    }
  });

  it("that is passed on stays in its trace, with the span as parent", () => {
    fc.assert(
      fc.property(parent, hex(16), ({ traceId, parentId, flags }, span) => {
        const read = parseTraceparent(`00-${traceId}-${parentId}-${flags.toString(16).padStart(2, "0")}`);
        expect(read).toEqual({ traceId, parentId, flags: flags & 3 });
        const { traceparent } = traceAttributes(read ?? { traceId: "", parentId: "", flags: 0 }, span);
        expect(parseTraceparent(traceparent)).toEqual({ traceId, parentId: span, flags: flags & 3 });
      }),
    );
  });

  it("is never made out of anything else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-fF-]{0,60}$/)), (text) => {
        const read = parseTraceparent(text);
        expect(read === undefined || text.startsWith(`${text.slice(0, 2)}-${read.traceId}-${read.parentId}-`)).toBe(true);
      }),
    );
  });
});

describe("a tracestate", () => {
  it("keeps its members in their order, without spaces and empty ones", () => {
    expect(parseTracestate("rojo=00f067aa0ba902b7 ,,\tcongo=t61rcWkgMzE")).toBe("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  });

  it.each([
    ["nothing", ""],
    ["a key without a value", "rojo"],
    ["a key in upper case", "Rojo=1"],
    ["a key twice", "rojo=1,rojo=2"],
    ["33 members", Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(",")],
    ["something that is no ASCII", "rojo=ü"],
    ["a line feed", "rojo=1\n"],
  ])("is dropped as a whole with %s", (_, text) => {
    expect(parseTracestate(text)).toBeUndefined();
  });

  it("that is too long loses whole members, long ones first, then from its end", () => {
    const short = Array.from({ length: 20 }, (_, i) => `s${i}=${"x".repeat(20)}`);
    const long = `long=${"y".repeat(200)}`;
    expect(parseTracestate([short[0], long, ...short.slice(1)].join(","))).toBe(short.join(","));
    const member = fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[a-z]{1,256}$/));
    fc.assert(
      fc.property(fc.uniqueArray(member, { maxLength: 32, selector: ([key]) => key }), (members) => {
        const whole = members.map(([key, value]) => `${key}=${value}`);
        const kept = parseTracestate(whole.join(","))?.split(",") ?? [];
        expect(kept.join(",").length).toBeLessThanOrEqual(512);
        expect(whole.filter((each) => kept.includes(each))).toEqual(kept);
        expect(kept.length === whole.length || whole.join(",").length > 512).toBe(true);
      }),
    );
  });
});

describe("the trace of a message", () => {
  it("is what its user properties say", () => {
    expect(traceOfProperties({ user: { traceparent: VALID, tracestate: ["a=1", "b=2"] } })).toEqual({
      traceId: TRACE,
      parentId: PARENT,
      flags: 1,
      tracestate: "a=1,b=2",
    });
  });

  it("is none when the properties name none, two or something that is inherited", () => {
    expect(traceOfProperties({})).toBeUndefined();
    expect(traceOfProperties({ contentType: "text/plain", user: { site: "milan" } })).toBeUndefined();
    expect(traceOfProperties({ user: { tracestate: "a=1" } })).toBeUndefined();
    expect(traceOfProperties({ user: { traceparent: [VALID, VALID] } })).toBeUndefined();
    expect(traceOfProperties({ user: Object.create({ traceparent: VALID }) as Record<string, string> })).toBeUndefined();
  });

  it("loses a tracestate that is none and nothing else", () => {
    expect(traceOfProperties({ user: { traceparent: VALID, tracestate: "no" } })).toEqual({ traceId: TRACE, parentId: PARENT, flags: 1 });
  });

  it("is sampled when the flag says so", () => {
    expect([0, 1, 2, 3].map((flags) => isSampled({ traceId: TRACE, parentId: PARENT, flags }))).toEqual([false, true, false, true]);
  });
});

describe("a span id", () => {
  it("depends on gateway, seq and function and on nothing else", () => {
    expect(spanId("g", 7, "f")).toBe(spanId("g", 7, "f"));
    const all = [spanId("g", 7, "f"), spanId("h", 7, "f"), spanId("g", 8, "f"), spanId("g", 7, "e")];
    expect(new Set(all).size).toBe(4);
    for (const id of all) expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect(isTraceId(all.slice(0, 2).join(""))).toBe(true);
  });
});

describe("the properties of a record", () => {
  const message = {
    topic: "käse/1",
    payload: Buffer.from("hello"),
    qos: 1,
    retain: true,
    time: 1_700_000_000_000,
    source: "fn:ü",
    hops: 2,
  } as const;

  it("are added to a record that has none", () => {
    const properties = { user: { traceparent: VALID } };
    const record = withProperties(encodeMessage(message), properties);
    expect(decodeMessage(record)).toEqual({ ...message, properties });
    expect(record).toEqual(encodeMessage({ ...message, properties }));
    expect(propertyBytes(record)?.toString()).toBe(JSON.stringify(properties));
  });

  it("are not there when it has none", () => {
    expect(propertyBytes(encodeMessage(message))).toBeUndefined();
  });
});
