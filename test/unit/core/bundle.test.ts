import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Bundle, BUNDLE_BYTES_MAX, decodeBundle, digestOf, encodeBundle, verifyDigest } from "../../../src/core/bundle.ts";
import { type Manifest, manifestSchema } from "../../../src/core/manifest.ts";

const manifest: Manifest = manifestSchema.parse({
  name: "a",
  api: 1,
  description: "ä",
  triggers: [{ mqtt: "b" }, { mqtt: "a" }],
  concurrency: 1,
  limits: { cpuMs: 50, wallMs: 5_000, memoryBytes: 1, outputBytes: 1, stateValueBytes: 1 },
  retry: { attempts: 1, minMs: 0, maxMs: 0, maxAgeMs: 1 },
  permissions: { publish: ["z", "a"], emit: [] },
  env: { B: "1", A: "2" },
});
const bundle: Bundle = { manifest, code: "var __millrace = {};", sourceMap: "" };

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, shuffled(inner)]),
  );
}

describe("a bundle", () => {
  it("comes back from its bytes", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (code, sourceMap) => {
        const whole = { manifest, code: code.toWellFormed(), sourceMap: sourceMap.toWellFormed() };
        expect(decodeBundle(encodeBundle(whole))).toEqual(whole);
      }),
    );
  });

  it("of the first format lacks the younger keys of a manifest and gets their defaults", () => {
    const { order: _order, overflow: _overflow, ...rest } = manifest;
    const old = { ...rest, triggers: [{ mqtt: "b" }, { mqtt: "a" }] };
    expect(decodeBundle(Buffer.from(JSON.stringify({ format: 1, manifest: old, code: "", sourceMap: "" }))).manifest).toEqual(manifest);
  });

  it("has the same bytes however its manifest was written, and keeps the order of lists", () => {
    expect(encodeBundle({ ...bundle, manifest: shuffled(manifest) as Manifest })).toEqual(encodeBundle(bundle));
    const swapped = { ...manifest, triggers: manifest.triggers.toReversed() };
    expect(encodeBundle({ ...bundle, manifest: swapped })).not.toEqual(encodeBundle(bundle));
  });

  it("that is damaged in any byte is refused by its digest, and never decoded to something half right", () => {
    const bytes = encodeBundle(bundle);
    const digest = digestOf(bytes);
    verifyDigest(bytes, digest);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        expect(() => verifyDigest(damaged, digest)).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
      }),
    );
  });

  it.each(["", "null", "[]", "{", '{"format":2}', JSON.stringify({ format: 1, manifest, code: "", sourceMap: "", more: 1 })])(
    "is not %.30j",
    (text) => {
      expect(() => decodeBundle(Buffer.from(text))).toThrow(expect.objectContaining({ code: "BUNDLE_CORRUPT" }));
    },
  );

  it("has an upper size", () => {
    expect(() => encodeBundle({ ...bundle, code: "x".repeat(BUNDLE_BYTES_MAX) })).toThrow(
      expect.objectContaining({ code: "BUNDLE_TOO_LARGE" }),
    );
  });
});
