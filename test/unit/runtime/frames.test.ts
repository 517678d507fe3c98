import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frame, FrameReader, u32 } from "../../../src/runtime/host/frames.ts";

const frames = fc.array(fc.tuple(fc.nat(255), fc.nat(0xffff_ffff), fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 3 })), {
  maxLength: 8,
});

describe("frames", () => {
  it("come out as they went in, however the stream of bytes is cut", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(60), { minLength: 1 }), (sent, sizes) => {
        const stream = Buffer.concat(sent.map(([kind, instance, parts]) => frame(kind, instance, ...parts)));
        const received: [number, number, string][] = [];
        const reader = new FrameReader((kind, instance, body) => received.push([kind, instance, body.toString("hex")]));
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = 1 + (sizes[i % sizes.length] ?? 0);
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
