import { constants, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { unpack } from "../../../src/control/unpack.ts";
import { encodeLink } from "../../../src/core/link.ts";

const MB = 1024 * 1024;
const text = Buffer.from(Array.from({ length: 2_000 }, (_, n) => `event ${n * 7_919}`).join());
const packed = zstdCompressSync(text);

/** A frame that does not say how much is in it, so that only unpacking it shows. */
const silent = (bytes: number): Buffer => zstdCompressSync(Buffer.alloc(bytes), { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });

describe("unpacking a batch", () => {
  it("gives back what was compressed, and leaves alone what was not", async () => {
    expect(Buffer.from(await unpack(packed)).equals(text)).toBe(true);
    const plain = encodeLink({ batch: 1, events: [] });
    expect(await unpack(plain)).toBe(plain);
  });

  it.each<[string, Buffer]>([
    ["one that ends too early", packed.subarray(0, packed.length - 1)],
    ["one of which only half came", packed.subarray(0, packed.length >> 1)],
    ["one that is only the magic number", packed.subarray(0, 4)],
    ["one with other bytes in it", Buffer.concat([packed.subarray(0, 8), Buffer.alloc(packed.length - 8, 0xff)])],
  ])("refuses a damaged one: %s", async (_, damaged) => {
    await expect(unpack(damaged)).rejects.toMatchObject({ code: "BATCH_UNREADABLE" });
  });

  it("takes 4 MB and not a byte more, whether the frame says so or not", async () => {
    for (const frame of [zstdCompressSync(Buffer.alloc(4 * MB)), silent(4 * MB)]) expect(await unpack(frame)).toHaveLength(4 * MB);
    for (const frame of [zstdCompressSync(Buffer.alloc(4 * MB + 1)), silent(4 * MB + 1), silent(256 * MB)]) {
      expect(frame.length).toBeLessThan(64 * 1024);
      await expect(unpack(frame)).rejects.toMatchObject({ code: "BATCH_UNREADABLE" });
    }
  });
});
