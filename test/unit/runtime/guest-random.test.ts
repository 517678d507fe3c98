import { createCipheriv, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { chachaBlock } from "../../../src/runtime/host/guest-random.ts";

it("random bytes come from ChaCha20 as others compute it", () => {
  for (let run = 0; run < 50; run++) {
    const key = randomBytes(32);
    const words = Uint32Array.from({ length: 8 }, (_, index) => key.readUInt32LE(4 * index));
    const block = new Uint32Array(16);
    chachaBlock(words, run, block);
    const counter = Buffer.alloc(16);
    counter.writeUInt32LE(run);
    expect(Buffer.from(block.buffer)).toEqual(createCipheriv("chacha20", key, counter).update(Buffer.alloc(64)));
  }
});
