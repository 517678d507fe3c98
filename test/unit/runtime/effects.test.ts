import type { HttpAnswer } from "../../../src/core/http-call.ts";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../../src/core/message.ts";
import { isStored } from "../../../src/core/state-value.ts";
import { decodeResults, GUEST_CODES, type ItemResult } from "../../../src/runtime/effects.ts";
import { LOG_LEVELS } from "../../../src/core/stats.ts";

/** The layout of host/frames.ts, written independently of the guest. */
function encodeResults(results: readonly ItemResult[]): Buffer {
  return Buffer.concat(results.map(encodeResult));
}

function encodeResult(result: ItemResult): Buffer {
  if (result.status === "deferred") return Buffer.from([3]);
  const logs = list(result.logs, ({ level, message, fields }) =>
    fields === undefined
      ? Buffer.concat([Buffer.from([LOG_LEVELS.indexOf(level)]), long(message)])
      : Buffer.concat([Buffer.from([LOG_LEVELS.indexOf(level) + 8]), long(message), long(fields)]),
  );
  if (result.status !== "done")
    return Buffer.concat([Buffer.from([result.status === "retry" ? 1 : 2]), long(JSON.stringify(result.error)), logs]);
  const { state, events, publishes } = result.effects;
  const { answer } = result;
  return Buffer.concat([
    answer === undefined ? Buffer.from([0]) : encodeAnswer(answer),
    logs,
    list(state, ({ name, value }) => Buffer.concat([short(name), value === undefined ? Buffer.from("ffffffff", "hex") : long(value)])),
    list(events, ({ type, subject, data }) => Buffer.concat([short(type), short(subject), long(data)])),
    list(publishes, (record) => record),
  ]);
}

function encodeAnswer({ status, headers, body }: HttpAnswer): Buffer {
  const head = Buffer.from([4, status >> 8, status & 255]);
  return Buffer.concat([head, long(JSON.stringify(headers)), long(Buffer.from(body))]);
}

function sized(bytes: 2 | 4, value: string | Buffer): Buffer {
  const body = Buffer.from(value);
  const size = Buffer.alloc(bytes);
  size.writeUIntBE(body.length, 0, bytes);
  return Buffer.concat([size, body]);
}
const short = (value: string): Buffer => sized(2, value);
const long = (value: string | Buffer): Buffer => sized(4, value);

function list<T>(items: readonly T[], encode: (item: T) => Buffer): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(items.length);
  return Buffer.concat([size, ...items.map(encode)]);
}

const text = fc.string({ unit: "grapheme", maxLength: 20 }).map((value) => value.toWellFormed());
const many = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 4 });
const fields = fc.dictionary(text, fc.jsonValue()).map((value) => JSON.stringify(value));
const line = { level: fc.constantFrom(...LOG_LEVELS), message: text };
const logs = many(fc.oneof(fc.record(line), fc.record({ ...line, fields })));
const bytes = fc.uint8Array({ maxLength: 30 }).map((value) => Buffer.from(value));
const record = fc
  .record({
    topic: text,
    payload: bytes,
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    time: fc.nat(),
    source: text,
    hops: fc.nat(255),
  })
  .map((message) => encodeMessage(message));
const effects = fc.record({
  state: many(fc.record({ name: text, value: fc.option(bytes.filter(isStored), { nil: undefined }) })),
  events: many(fc.record({ type: text, subject: text, data: text })),
  publishes: many(record),
});
const header = fc.tuple(fc.constantFrom("content-type", "x-a"), fc.constantFrom("text/plain", "", "a; b=c"));
const answer = fc.record({ status: fc.integer({ min: 200, max: 599 }), headers: many(header), body: bytes });
const result: fc.Arbitrary<ItemResult> = fc.oneof(
  fc.record({ status: fc.constant("done" as const), logs, effects }),
  fc.record({ status: fc.constant("done" as const), logs, effects, answer }),
  fc.record({
    status: fc.constantFrom("retry" as const, "failed" as const),
    logs,
    error: fc.record({ code: fc.constantFrom(...GUEST_CODES), name: text, message: text, stack: text }),
  }),
  fc.constant({ status: "deferred" as const }),
);
const results = fc.array(result, { maxLength: 5 });

/** The only ways in which decoding may end: with results, or with an error that says that the host is to blame. */
function decodes(input: Buffer, max = 300): ItemResult[] | undefined {
  try {
    return decodeResults(input, max);
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A result that only publishes this. */
function publishing(publish: Buffer): Buffer {
  return encodeResults([{ status: "done", logs: [], effects: { state: [], events: [], publishes: [publish] } }]);
}

describe("results", () => {
  it("are read as they were written", () => {
    fc.assert(
      fc.property(results, (written) => {
        expect(decodeResults(encodeResults(written), written.length)).toEqual(written);
      }),
    );
  });

  it("of random bytes are refused or read, and nothing else happens", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (input) => {
        expect(() => decodes(Buffer.from(input))).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it("that are damaged or cut short are refused or read, and never reach beyond what arrived", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(results, damage, fc.nat(), (written, changes, length) => {
        const sent = encodeResults(written);
        const input = Buffer.from(sent.subarray(0, sent.length - (length % 3 === 0 ? length % (sent.length + 1) : 0)));
        for (const [at, value] of changes) if (input.length > 0) input[at % input.length] = value;
        for (const one of decodes(input) ?? []) {
          if (one.status !== "done") continue;
          const size =
            one.effects.publishes.reduce((sum, part) => sum + part.length, 0) +
            one.effects.state.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
          expect(size).toBeLessThanOrEqual(input.length);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("are refused when there are more than items, before they fill the memory", () => {
    const flood = Buffer.alloc(50_000_000, 3);
    const before = process.memoryUsage().heapUsed;
    expect(() => decodeResults(flood, 256)).toThrow(RangeError);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000);
  });

  it("with an error as long as a novel are refused before it is read", () => {
    const error = { code: "FUNCTION_THREW", name: "Error", message: "x".repeat(300_000), stack: "" };
    expect(decodes(encodeResults([{ status: "retry", logs: [], error }]))).toBeUndefined();
  });

  it("with texts of an error that are longer than a guest makes them are read without the rest", () => {
    const error = { code: "FUNCTION_THREW", name: "n".repeat(300), message: "m".repeat(50_000), stack: "s".repeat(100_000) };
    const [read] = decodeResults(encodeResults([{ status: "retry", logs: [], error }]), 1);
    expect(read).toMatchObject({ error: { name: "n".repeat(200), message: "m".repeat(4_000), stack: "s".repeat(8_000) } });
  });

  it.each([
    ["more lines than a message may have", Array.from({ length: 102 }, () => ({ level: "info" as const, message: "" }))],
    ["a line that is too long", [{ level: "info" as const, message: "x".repeat(33_000) }]],
    ["fields that are too long", [{ level: "info" as const, message: "", fields: JSON.stringify({ a: "x".repeat(33_000) }) }]],
    ["fields that are a list", [{ level: "info" as const, message: "", fields: "[1]" }]],
    ["fields that are no JSON", [{ level: "info" as const, message: "", fields: "{a:1}" }]],
  ])("with %s are refused", (_what, lines) => {
    const error = { code: "FUNCTION_THREW", name: "Error", message: "", stack: "" };
    expect(decodes(encodeResults([{ status: "retry", logs: lines, error }]))).toBeUndefined();
    expect(decodes(encodeResults([{ status: "retry", logs: [], error }]))).toHaveLength(1);
  });

  it.each([
    ["a status that is none", { status: 199 }],
    ["a header that says how it is sent", { headers: [["content-length", "5"]] }],
    ["a header with more than one line", { headers: [["x-a", "b\r\nset-cookie: c"]] }],
    ["a header that has no name", { headers: [["", "b"]] }],
    ["too many headers", { headers: Array.from({ length: 65 }, () => ["x-a", "b"]) }],
    ["headers that are too long", { headers: [["x-a", "b".repeat(40_000)]] }],
  ])("with an answer that has %s are refused", (_what, part) => {
    const good: HttpAnswer = { status: 200, headers: [["x-a", "b"]], body: Buffer.from("c") };
    const done = { status: "done", logs: [], effects: { state: [], events: [], publishes: [] } } as const;
    expect(decodes(encodeResults([{ ...done, answer: good }]))).toHaveLength(1);
    expect(decodes(encodeResults([{ ...done, answer: { ...good, ...part } as HttpAnswer }]))).toBeUndefined();
  });

  it("with counts far beyond what follows are refused at once", () => {
    expect(() => decodeResults(Buffer.from("00ffff", "hex"), 1)).toThrow(RangeError);
    expect(() => decodeResults(Buffer.from("01ffffffff", "hex"), 1)).toThrow(RangeError);
  });

  it.each([
    ["QoS 3", 4, 3],
    ["an unknown flag", 4, 128],
    ["properties", 4, 8],
    ["a topic beyond its end", 12, 255],
    ["a source beyond its end", 17, 255],
  ])("with a record to publish that has %s are refused", (_what, at, value) => {
    const good = encodeMessage({ topic: "abc", payload: Buffer.from("x"), qos: 0, retain: false, time: 0, source: "s", hops: 0 });
    expect(decodes(publishing(good))).toHaveLength(1);
    good[at] = value;
    expect(decodes(publishing(good))).toBeUndefined();
  });
});

it.each(["", "NO_SUCH_CODE", "constructor", "HOST_CRASHED", "LIMIT_CPU", "LIMIT_HOPS"])(
  "an error with the code %j is one of the function",
  (code) => {
    const error = { code, name: "Error", message: "x", stack: "" };
    const [read] = decodeResults(encodeResults([{ status: "retry", logs: [], error }]), 1);
    expect(read).toEqual({ status: "retry", logs: [], error: { ...error, code: "FUNCTION_THREW" } });
  },
);
