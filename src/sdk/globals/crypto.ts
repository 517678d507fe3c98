import { DOMException } from "./dom-exception.ts";
import { sha1, sha256, sha384, sha512 } from "./sha.ts";

/** What every isolate has. */
interface Randomness {
  getRandomValues<T>(array: T): T;
  randomUUID(): string;
}

const DIGESTS: ReadonlyMap<string, (data: Uint8Array) => Uint8Array> = new Map([
  ["SHA-1", sha1],
  ["SHA-256", sha256],
  ["SHA-384", sha384],
  ["SHA-512", sha512],
]);

/** It has no entropy of its own: that comes from the isolate. */
function randomness(): Randomness {
  return Reflect.get(globalThis, "crypto") as Randomness;
}

/**
 * `crypto.subtle` of Web Cryptography, of which `digest` is there. It computes in the isolate, within `limits.cpu`.
 * @throws DOMException NotSupportedError for another digest than SHA-1, SHA-256, SHA-384 and SHA-512
 */
async function digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer> {
  const name = typeof algorithm === "object" && algorithm !== null && "name" in algorithm ? algorithm.name : algorithm;
  const compute = DIGESTS.get(String(name).toUpperCase());
  if (compute === undefined)
    throw new DOMException(`There is no digest ${String(name)}; there are ${[...DIGESTS.keys()].join(", ")}`, "NotSupportedError");
  return await Promise.resolve(compute(bytesOf(data)).slice().buffer);
}

function bytesOf(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new TypeError("crypto.subtle.digest takes an ArrayBuffer or a view of one");
}

/** `crypto` as bundles find it. */
export const crypto = {
  getRandomValues: <T>(array: T): T => randomness().getRandomValues(array),
  randomUUID: (): string => randomness().randomUUID(),
  subtle: { digest },
};
