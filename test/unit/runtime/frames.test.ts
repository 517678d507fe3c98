import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader, u32, writeFrame } from "../../../src/runtime/host/frames.ts";

/** Now and then one that is not put together before it is written. */
const part = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.nat(255).map((byte) => new Uint8Array(70_000).fill(byte)) },
);
const frames = fc.array(fc.tuple(fc.nat(255), fc.nat(0xffff_ffff), fc.array(part, { maxLength: 3 })), { maxLength: 8 });

function written(kind: number, instance: number, parts: readonly Uint8Array[]): Buffer {
  const pieces: Uint8Array[] = [];
  writeFrame({ write: (piece) => pieces.push(piece) > 0, cork: () => undefined, uncork: () => undefined }, { kind, instance }, parts);
  return Buffer.concat(pieces);
}

describe("frames", () => {
  it("come out as they went in, however the stream of bytes is cut", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(60), { minLength: 1 }), (sent, sizes) => {
        const stream = Buffer.concat(sent.map(([kind, instance, parts]) => written(kind, instance, parts)));
        const received: [number, number, string][] = [];
        const reader = new FrameReader((kind, instance, body) => received.push([kind, instance, body.toString("hex")]));
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = 1 + (sizes[i % sizes.length] ?? 0) * (1 + Math.floor(stream.length / 2_000));
          reader.push(stream.subarray(at, at + size));
          at += size;
        }
        expect(received).toEqual(sent.map(([kind, instance, parts]) => [kind, instance, Buffer.concat(parts).toString("hex")]));
      }),
    );
  });

  it.each([0, 4, 0x7fff_ffff, 0xffff_ffff])("that claim to have %i bytes are refused at once", (length) => {
    const reader = new FrameReader(() => undefined);
    expect(() => reader.push(Buffer.concat([u32(length), Buffer.alloc(100)]))).toThrow(RangeError);
  });
});
