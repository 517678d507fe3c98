import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ProxySource, readProxyHeader } from "../../../../src/broker/listeners/proxy-header.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const HEAD_BYTES = 16;
const REST_BYTES_MAX = 4_096;

interface Outcome {
  readonly source?: ProxySource;
  readonly error?: Error;
  /** What is left for whoever reads after it. */
  readonly left: Buffer;
}

/** Sends the bytes in pieces of these lengths, each in a turn of the event loop of its own, and ends. */
async function read(bytes: Buffer, lengths: readonly number[]): Promise<Outcome> {
  const stream = new PassThrough();
  const reading = readProxyHeader(stream as unknown as Socket).then(
    (source) => ({ source }),
    (error: unknown) => ({ error: error as Error }),
  );
  let at = 0;
  for (const length of lengths) {
    stream.write(bytes.subarray(at, at + length));
    at += length;
    await nextTurn();
  }
  stream.end(bytes.subarray(at));
  const outcome = await reading;
  return { ...outcome, left: Buffer.concat((await stream.toArray()) as Buffer[]) };
}

const pieces = fc.array(fc.nat({ max: 40 }), { maxLength: 12 });
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const mapped = bytes(4).map((four) => Uint8Array.from([...Array<number>(10).fill(0), 0xff, 0xff, ...four]));

function header(command: number, family: number, rest: Uint8Array): Buffer {
  return Buffer.from([...SIGNATURE, command, family, rest.length >> 8, rest.length & 255, ...rest]);
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** The 16 bytes of an address of version 6, from its text. */
function bytesOf(address: string): number[] {
  const [before = "", after = ""] = address.split("::");
  const [head, tail] = [groups(before), groups(after)];
  const all = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return all.flatMap((group) => [group >> 8, group & 255]);
}

describe("the header of a load balancer", () => {
  it("is read with its address, whatever follows and in whatever pieces, and what follows is left", async () => {
    const addresses = fc.oneof(
      bytes(12).map((rest) => ({ family: 0x11, rest, address: rest.subarray(0, 4).join(".") })),
      // Those that stand for one of version 4 begin with 0.
      bytes(36)
        .filter((rest) => rest[0] !== 0)
        .map((rest) => ({ family: 0x21, rest, address: rest.subarray(0, 16).join(" ") })),
      fc
        .tuple(mapped, bytes(20))
        .map(([source, rest]) => ({ family: 0x21, rest: Uint8Array.from([...source, ...rest]), address: source.subarray(12).join(".") })),
      bytes(216).map((rest) => ({ family: 0x31, rest, address: undefined })),
      fc.constant({ family: 0x00, rest: new Uint8Array(), address: undefined }),
    );
    await fc.assert(
      fc.asyncProperty(
        addresses,
        fc.uint8Array({ maxLength: 60 }),
        fc.uint8Array({ maxLength: 60 }),
        pieces,
        async (sent, more, after, cuts) => {
          const whole = Buffer.concat([header(0x21, sent.family, Buffer.concat([sent.rest, more])), after]);
          const { source, left, error } = await read(whole, cuts);
          expect(error).toBeUndefined();
          expect(left).toEqual(Buffer.from(after));
          const address = source?.kind === "client" ? source.address : undefined;
          expect(address?.includes(":") === true ? bytesOf(address).join(" ") : address).toBe(sent.address);
        },
      ),
    );
  });

  it("of the balancer itself is passed over, whatever it says", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 255 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array(),
        pieces,
        async (family, rest, after, cuts) => {
          const { source, left } = await read(Buffer.concat([header(0x20, family, rest), after]), cuts);
          expect(source).toEqual({ kind: "local" });
          expect(left).toEqual(Buffer.from(after));
        },
      ),
    );
  });

  it("that is cut short anywhere says so", async () => {
    const whole = header(0x21, 0x21, new Uint8Array(50));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1 }), pieces, async (length, cuts) => {
        const { error } = await read(whole.subarray(0, length), cuts);
        expect(error?.message).toBe("the connection ended within the PROXY header");
      }),
    );
  });

  it("may be any bytes: it is refused for a reason, and nothing behind its end is read", async () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 5_000, size: "max" }).map((rest) => Uint8Array.from([...SIGNATURE, ...rest])),
      fc
        .tuple(
          fc.constantFrom(0x20, 0x21, 0x22, 0x11),
          fc.constantFrom(0x00, 0x11, 0x12, 0x21, 0x31, 0xff),
          fc.uint8Array({ maxLength: 300 }),
        )
        .map(([command, family, rest]) => Uint8Array.from([...header(command, family, rest), 1, 2, 3])),
    );
    await fc.assert(
      fc.asyncProperty(anything, pieces, async (sent, cuts) => {
        const all = Buffer.from(sent);
        const { source, error, left } = await read(all, cuts);
        const length = all.length < HEAD_BYTES ? all.length : HEAD_BYTES + all.readUInt16BE(14);
        const isHeader = all.subarray(0, SIGNATURE.length).equals(Buffer.from(SIGNATURE));
        const most = isHeader && length <= HEAD_BYTES + REST_BYTES_MAX ? length : HEAD_BYTES;
        expect(left).toEqual(all.subarray(all.length - left.length));
        expect(all.length - left.length).toBeLessThanOrEqual(most);
        expect(all.length - left.length === most || error !== undefined).toBe(true);
        // No mistake of the reader, such as a RangeError, is among the reasons.
        const said = error === undefined ? source?.kind : `${error.constructor.name}: ${error.message}`;
        expect(said).toMatch(/^(?:local|unknown|client|Error: .*PROXY header.*)$/);
      }),
    );
  });
});
