import { createHash } from "node:crypto";
import { MillraceError } from "./errors.ts";
import { type Manifest, manifestSchema } from "./manifest.ts";
import { z } from "zod";

export const BUNDLE_BYTES_MAX = 8 * 1024 * 1024;

/** What a version consists of. The bytes of its encoding are what the digest names, so it never changes. */
export interface Bundle {
  readonly manifest: Manifest;
  /** A classic script that leaves the function's module exports in the global `__millrace`. */
  readonly code: string;
  /** Source map, version 3, as JSON text; empty when there is none. */
  readonly sourceMap: string;
}

const bundleSchema = z.strictObject({ format: z.literal(1), manifest: manifestSchema, code: z.string(), sourceMap: z.string() });

/** Stable: the same bundle always gives the same bytes, so publishing it again makes no new version. */
export function encodeBundle(bundle: Bundle): Buffer {
  const { manifest, code, sourceMap } = bundle;
  const bytes = Buffer.from(JSON.stringify({ format: 1, manifest: sorted(manifest), code, sourceMap }));
  if (bytes.length > BUNDLE_BYTES_MAX) {
    throw new MillraceError(
      "BUNDLE_TOO_LARGE",
      `function "${manifest.name}" is ${bytes.length} bytes, at most ${BUNDLE_BYTES_MAX} are allowed`,
    );
  }
  return bytes;
}

/** @throws MillraceError BUNDLE_CORRUPT */
export function decodeBundle(bytes: Uint8Array): Bundle {
  try {
    const { manifest, code, sourceMap } = bundleSchema.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
    return { manifest, code, sourceMap };
  } catch (cause) {
    throw new MillraceError("BUNDLE_CORRUPT", "the bytes are not a function bundle of format 1", { cause });
  }
}

/** Lower-case hexadecimal sha256. */
export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** @throws MillraceError DIGEST_MISMATCH */
export function verifyDigest(bytes: Uint8Array, digest: string): void {
  const actual = digestOf(bytes);
  if (actual !== digest) {
    throw new MillraceError("DIGEST_MISMATCH", `expected sha256 ${digest}, the ${bytes.length} bytes received have ${actual}`);
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
