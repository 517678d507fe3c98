import { decode } from "cbor-x";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shownValue } from "../../../src/runtime/shown-value.ts";
import { decodeValue, encodeValue, isCbor } from "../../../src/runtime/host/guest-cbor.ts";
import { storedBytes, storedOf } from "../../../src/runtime/host/guest-stored.ts";

const text = fc.string({ unit: "binary" });
const rich = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withUnicodeString: true,
  withNullPrototype: false,
  withSparseArray: false,
  maxDepth: 3,
  key: text,
});

const bytesOf = (value: unknown): Buffer => Buffer.from(storedBytes(storedOf(value, undefined, 0)), "latin1");

function failureOf(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("a state value", () => {
  it("is the same when it comes back, whatever it is, and is JSON where JSON does that", () => {
    fc.assert(
      fc.property(rich, (value) => {
        fc.pre(value !== undefined);
        const encoded = encodeValue(value);
        expect(decodeValue(encoded)).toStrictEqual(value);
        expect(isCbor(encoded) || encoded === JSON.stringify(value)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
    // As JSON.parse makes them: without -0, and names that are numbers first.
    const plain = fc.jsonValue({ maxDepth: 3 }).map((value): unknown => JSON.parse(JSON.stringify(value).replaceAll("-0", "0")));
    fc.assert(fc.property(plain, (value) => encodeValue(value) === JSON.stringify(value)));
  });

  it("is read by others who know CBOR as it is read here", () => {
    for (const value of [
      { n: Number.NaN, list: [undefined, 1.5, -1, 2 ** 40, -(2 ** 40), 200, 70_000], text: "ü", at: new Date(1_500) },
      new Map<unknown, unknown>([[1, Buffer.from([1, 2])]]),
      [new Set([1, "a"]), 2n ** 80n, -(2n ** 80n), null, true, false, undefined],
    ]) {
      expect(decode(bytesOf(value))).toEqual(value);
    }
  });

  it("that is damaged or made up is refused, whatever it is", () => {
    const damaged = fc.tuple(rich, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat());
    fc.assert(
      fc.property(damaged, ([value, changes, length]) => {
        const bytes = bytesOf([undefined, value]);
        for (const [at, byte] of changes) bytes[3 + (at % (bytes.length - 3))] = byte;
        const cut = bytes.subarray(0, 3 + (length % bytes.length)).toString("latin1");
        expect(failureOf(() => decodeValue(cut)) ?? new RangeError()).toBeInstanceOf(RangeError);
      }),
      { numRuns: 2_000 },
    );
    expect(() => decodeValue(`\xd9\xd9\xf7${"\x81".repeat(100_000)}\x01`)).toThrow(RangeError);
    expect(() => decodeValue("\xd9\xd9\xf7\x9b\xff\xff\xff\xff\xff\xff\xff\xff")).toThrow(RangeError);
  });

  it("is shown as JSON, with what JSON has not as text", () => {
    const value = {
      at: new Date(0),
      never: new Date(Number.NaN),
      bytes: new Uint8Array([1, 255]),
      big: 7n,
      odd: [Number.NaN, Infinity, undefined],
      map: new Map([["a", 1n]]),
      set: new Set([1]),
      floats: new Float64Array([1.5]),
    };
    expect(shownValue(bytesOf(value))).toEqual({
      at: "1970-01-01T00:00:00.000Z",
      never: "Invalid Date",
      bytes: "h'01ff'",
      big: "7n",
      odd: ["NaN", "Infinity", "undefined"],
      map: { Map: [["a", "1n"]] },
      set: { Set: [1] },
      floats: [1.5],
    });
    expect(shownValue(Buffer.from("{"))).toBe("(cannot be read)");
    expect(shownValue(Buffer.from('{"a":1}'))).toEqual({ a: 1 });
  });
});
