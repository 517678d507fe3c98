import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";

const SEQS = 60;

describe("a cursor with keys set aside", () => {
  it("keeps them and gives its floor to the lowest of them", () => {
    const cursor = new Cursor(10);
    cursor.complete(10, 40);
    cursor.setAside("a/ä", 20, "routing");
    cursor.setAside("b", 25, "routing");
    expect([cursor.floor, cursor.front, cursor.end]).toEqual([20, 40, 40]);
    cursor.complete(50, 60);
    const back = Cursor.decode(cursor.encode());
    expect([back.floor, back.front, back.end, back.gaps]).toEqual([20, 40, 60, 1]);
    expect(back.aside).toEqual({
      routing: "routing",
      keys: new Map([
        ["a/ä", 20],
        ["b", 25],
      ]),
    });
    back.release("a/ä");
    expect(back.floor).toBe(25);
    back.release("b");
    expect(back.floor).toBe(40);
    expect(Cursor.decode(back.encode()).aside.keys.size).toBe(0);
  });

  it("reopens any message that was done, and nothing else", () => {
    const step = fc.record({ seq: fc.nat(SEQS), length: fc.nat(8), reopen: fc.boolean() });
    fc.assert(
      fc.property(fc.nat(10), fc.array(step, { maxLength: 60 }), (floor, steps) => {
        const cursor = new Cursor(floor);
        const done = new Set(Array.from({ length: floor }, (_, seq) => seq));
        for (const { seq, length, reopen } of steps) {
          if (reopen) {
            cursor.reopen(seq);
            done.delete(seq);
          } else {
            cursor.complete(seq, seq + length);
            for (let at = seq; at < seq + length; at++) done.add(at);
          }
        }
        const seqs = Array.from({ length: SEQS + 10 }, (_, seq) => seq);
        const back = Cursor.decode(cursor.encode());
        for (const one of [cursor, back]) expect(seqs.filter((seq) => one.isDone(seq))).toEqual(seqs.filter((seq) => done.has(seq)));
        expect(cursor.floor).toBe(seqs.find((seq) => !done.has(seq)));
      }),
    );
  });
});
