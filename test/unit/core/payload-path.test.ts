import { Encoder } from "cbor-x";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CborReader } from "../../../src/core/cbor-reader.ts";
import { KEYED_BYTES_MAX, payloadKey, payloadPath } from "../../../src/core/payload-path.ts";

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true });
const CBOR = { contentType: "application/cbor" } as const;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const at = (text: string): readonly string[] => payloadPath(text) ?? [];
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

const name = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => /^[^.\s]+$/.test(text) && text !== "__proto__");
const leaf = fc.oneof(
  fc.string({ minLength: 1 }).filter((text) => !text.includes("\0")),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
);
const other = fc.jsonValue({ maxDepth: 3 });

describe("the key in a payload", () => {
  it("is found in JSON and in CBOR, whatever stands beside it", () => {
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), leaf, fc.dictionary(name, other), (path, value, beside) => {
        const payload = path.reduceRight<unknown>((inner, step) => ({ ...beside, [step]: inner }), value);
        const key = { key: String(Object.is(value, -0) ? 0 : value).toWellFormed() };
        expect(payloadKey({ payload: json(payload) }, path)).toEqual(key);
        expect(payloadKey({ payload: cbor.encode(payload), properties: CBOR }, path)).toEqual(key);
      }),
    );
  });

  it("is never found in anything else, and no bytes do harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom({}, CBOR), (payload, properties) => {
        const found = payloadKey({ payload, properties }, ["a"]);
        expect(Object.keys(found)).toEqual([expect.stringMatching(/^(key|problem)$/)]);
      }),
    );
  });

  it.each([
    ["not JSON", Buffer.from("{"), "the payload is no JSON"],
    ["nested without end", Buffer.from("[".repeat(KEYED_BYTES_MAX)), "the payload is no JSON"],
    ["no object", json(1), "the payload has nothing under data.id"],
    ["without it", json({ ID: 1 }), "the payload has nothing under data.id"],
    ["with what every object has", json({}), "the payload has nothing under data.toString", "data.toString"],
    ["null there", json({ id: null }), "the payload has nothing under data.id"],
    ["an empty text there", json({ id: "" }), "the payload has nothing under data.id"],
    ["a list there", json({ id: [] }), "data.id is neither a text nor a number nor a truth value"],
    ["a long text there", json({ id: "x".repeat(2_000) }), "data.id has 2000 characters; a key has 1024 at most"],
    ["NUL in it", json({ id: "a\0" }), "data.id has a NUL character, which no key may have"],
    ["too large", Buffer.alloc(KEYED_BYTES_MAX + 1, 32), `a key is looked for in ${KEYED_BYTES_MAX} at most`],
  ])("is missing from a payload that is %s", (_what, payload, problem, path = "data.id") => {
    expect(payloadKey({ payload }, at(path))).toEqual({ problem: expect.stringContaining(problem) as string });
  });

  it("reads a text that is no Unicode as its journal will", () => {
    expect(payloadKey({ payload: Buffer.from('{"id":"\\ud800"}') }, ["id"])).toEqual({ key: "\ufffd" });
  });
});

describe("CBOR", () => {
  // Examples of RFC 8949, appendix A, under the name "a".
  it.each([
    ["00", 0],
    ["1818", 24],
    ["1a000f4240", 1_000_000],
    ["1bffffffffffffffff", 18_446_744_073_709_551_615n],
    ["3903e7", -1_000],
    ["3bffffffffffffffff", -18_446_744_073_709_551_616n],
    ["f93e00", 1.5],
    ["f90001", 5.960464477539063e-8],
    ["f9fc00", -Infinity],
    ["fa47c35000", 100_000],
    ["fbc010666666666666", -4.1],
    ["f4", false],
    ["f5", true],
    ["f6", null],
    ["c11a514b67b0", 1_363_896_240],
    ["6161", "a"],
    ["62c3bc", "ü"],
    ["4401020304", null],
    ["80", null],
    ["7f657374726561646d696e67ff", null],
  ])("reads %s", (bytes, value) => {
    expect(new CborReader(hex(`a1 6161 ${bytes}`)).find(["a"])).toBe(value);
    // Behind an entry that has to be passed over, in a map without a length.
    expect(new CborReader(hex(`bf 6162 ${bytes} 6161 ${bytes} ff`)).find(["a"])).toBe(value);
  });

  it.each([
    ["nothing", ""],
    ["an end in the middle", "a1 6161"],
    ["a length beyond the end", "a1 7bffffffffffffffff"],
    ["a map that claims to be long", "bbffffffffffffffff 00 00"],
    ["a reserved length", "a1 1c 00"],
    ["nesting without end", "a1 6162".concat("81".repeat(1_000))],
    ["tags without end", "c1".repeat(1_000)],
  ])("refuses %s", (_what, bytes) => {
    expect(() => new CborReader(hex(bytes)).find(["a"])).toThrow(RangeError);
  });
});
