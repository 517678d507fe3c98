import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as abort from "../../../src/sdk/globals/abort.ts";
import * as base64 from "../../../src/sdk/globals/base64.ts";
import { structuredClone as clone } from "../../../src/sdk/globals/structured-clone.ts";
import * as decoder from "../../../src/sdk/globals/text-decoder.ts";
import * as encoder from "../../../src/sdk/globals/text-encoder.ts";

const text = fc.string({
  unit: fc.oneof(
    { weight: 3, arbitrary: fc.string({ minLength: 1, maxLength: 1, unit: "binary" }) },
    fc.constantFrom("\ud800", "\udc00", "\ufeff", "😀"),
  ),
});
/** Bytes that are UTF-8 now and then. */
const bytes = fc.oneof(
  fc.uint8Array(),
  fc
    .array(fc.constantFrom(0x00, 0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xbb, 0xf0, 0xf4, 0xf5, 0xff))
    .map((all) => Uint8Array.from(all)),
  text.map((one) => new TextEncoder().encode(one)),
);

/** What a call gives, or the name of what it throws. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error instanceof Error ? `throws ${error.name}` : error;
  }
}

describe("what functions have instead of Node's", () => {
  it("TextEncoder gives the same bytes, and fills a buffer as far", () => {
    fc.assert(
      fc.property(text, fc.nat(20), (one, room) => {
        expect(new encoder.TextEncoder().encode(one)).toEqual(new TextEncoder().encode(one));
        const [mine, theirs] = [new Uint8Array(room), new Uint8Array(room)];
        expect(new encoder.TextEncoder().encodeInto(one, mine)).toEqual(new TextEncoder().encodeInto(one, theirs));
        expect(mine).toEqual(theirs);
      }),
      { numRuns: 2_000 },
    );
  });

  it("TextDecoder gives the same text, for bytes that come at once and in pieces", () => {
    const labels = fc.constantFrom("utf-8", "UTF8", " utf-16le", "latin1", "ascii");
    const options = fc.record({ fatal: fc.boolean(), ignoreBOM: fc.boolean() });
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 4 }), labels, options, (pieces, label, how) => {
        const all = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
        const [mine, theirs] = [new decoder.TextDecoder(label, how), new TextDecoder(label, how)];
        expect(mine.encoding).toBe(theirs.encoding);
        expect(outcome(() => mine.decode(all))).toBe(outcome(() => theirs.decode(all)));
        // Node's own loses track of the byte order mark when the first piece ends within a character.
        const streamed = (): string => pieces.map((piece) => mine.decode(piece, { stream: true })).join("") + mine.decode();
        expect(outcome(streamed)).toBe(outcome(() => theirs.decode(all)));
      }),
      { numRuns: 3_000 },
    );
    expect(outcome(() => new decoder.TextDecoder("shift_jis"))).toBe("throws RangeError");
  });

  it("atob and btoa give the same text, and refuse the same", () => {
    const almost = fc.string({ unit: fc.constantFrom("A", "z", "9", "+", "/", "=", " ", "\n", "-", "é") });
    fc.assert(
      fc.property(fc.oneof(text, almost, fc.string().map(btoaOf)), (one) => {
        expect(outcome(() => base64.atob(one))).toBe(outcome(() => atob(one)));
        expect(outcome(() => base64.btoa(one))).toBe(outcome(() => btoa(one)));
      }),
      { numRuns: 3_000 },
    );
  });

  it("structuredClone makes the same copies", () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    });
    fc.assert(
      fc.property(anything, (one) => {
        expect(clone(one)).toEqual(structuredClone(one));
        expect(clone(one)).toEqual(clone(clone(one)));
      }),
      { numRuns: 1_000 },
    );
  });

  it("structuredClone keeps circles, shared parts, kinds of errors and views of one buffer, and moves buffers", () => {
    const circle: { self?: unknown; list: unknown[] } = { list: [] };
    circle.self = circle;
    circle.list.push(circle, circle.list);
    const copy = clone(circle);
    expect(copy.self).toBe(copy);
    expect(copy.list).toEqual([copy, copy.list]);
    expect(copy).not.toBe(circle);
    const failure = new RangeError("far", { cause: { deep: new Map([["a", new Date(7)]]) } });
    const failed = clone(failure);
    expect([failed instanceof RangeError, failed.message, failed.stack, failed.cause]).toEqual([true, "far", failure.stack, failure.cause]);
    const buffer = Uint8Array.of(1, 2, 3, 4).buffer;
    const views = clone([new Uint8Array(buffer, 1, 2), new DataView(buffer, 2)]);
    expect(views[0]?.buffer).toBe(views[1]?.buffer);
    expect([...(views[0] as Uint8Array)]).toEqual([2, 3]);
    expect(clone(buffer, { transfer: [buffer] }).byteLength).toBe(4);
    expect(buffer.detached).toBe(true);
    for (const refused of [() => 1, Symbol("s"), Promise.resolve(1), new WeakMap(), { deep: [() => 1] }, buffer]) {
      expect(() => clone(refused)).toThrow(expect.objectContaining({ name: "DataCloneError", code: 25 }));
    }
  });

  it("AbortController and AbortSignal tell listeners once, in order, with the reason", () => {
    const order: string[] = [];
    for (const web of [abort, { AbortController, AbortSignal }]) {
      const controller = new web.AbortController();
      const { signal } = controller;
      const removed = (): number => order.push("removed");
      signal.addEventListener("abort", removed);
      signal.removeEventListener("abort", removed);
      signal.addEventListener("abort", (event: { readonly type: string }) => order.push(`first ${event.type} ${String(signal.aborted)}`));
      signal.addEventListener("abort", () => order.push("once"), { once: true });
      const joint = web.AbortSignal.any([new web.AbortController().signal as never, signal as never]);
      controller.abort(new RangeError("why"));
      controller.abort(new RangeError("again"));
      order.push(
        String(signal.reason),
        String(joint.reason),
        String(web.AbortSignal.abort().reason),
        String(outcome(() => signal.throwIfAborted())),
      );
      order.push("next");
    }
    const next = order.indexOf("next");
    expect(order.slice(0, next)).toEqual(order.slice(next + 1, -1));
    expect(order.slice(0, next)).toEqual([
      "first abort true",
      "once",
      "RangeError: why",
      "RangeError: why",
      expect.stringContaining("AbortError"),
      "throws RangeError",
    ]);
    expect(() => new abort.AbortSignal(undefined)).toThrow("AbortController");
  });
});

function btoaOf(one: string): string {
  return Buffer.from(one).toString("base64");
}
