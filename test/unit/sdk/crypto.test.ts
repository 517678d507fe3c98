import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { crypto as guestCrypto } from "../../../src/sdk/globals/crypto.ts";

const NAMES = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"] as const;

it("digests are those of Node, for every length around the blocks", async () => {
  const lengths = fc.oneof(fc.nat(300), fc.constantFrom(0, 55, 56, 63, 64, 111, 112, 119, 127, 128, 100_000));
  const data = lengths.chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
  await fc.assert(
    fc.asyncProperty(data, fc.constantFrom(...NAMES), fc.nat(3), async (bytes, name, from) => {
      const expected = createHash(name.replace("-", "")).update(bytes.subarray(from)).digest();
      expect(Buffer.from(await guestCrypto.subtle.digest(name.toLowerCase(), bytes.subarray(from)))).toEqual(expected);
      expect(Buffer.from(await guestCrypto.subtle.digest({ name }, bytes.slice(from).buffer))).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

it("what there is no digest of or for is refused as a rejection", async () => {
  await expect(guestCrypto.subtle.digest("MD5", new Uint8Array())).rejects.toThrow("SHA-1, SHA-256, SHA-384, SHA-512");
  await expect(guestCrypto.subtle.digest("MD5", new Uint8Array())).rejects.toMatchObject({ name: "NotSupportedError" });
  await expect(guestCrypto.subtle.digest("SHA-256", "text")).rejects.toThrow(TypeError);
});
