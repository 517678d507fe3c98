import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";

const SEQS = 60;
const seqs = Array.from({ length: SEQS + 20 }, (_, seq) => seq);

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

  it("reopens any message that was done, and nothing else, with no more ranges than holes", () => {
    const step = fc.record({ seq: fc.nat(SEQS), length: fc.nat(8), reopen: fc.boolean(), store: fc.boolean() });
    fc.assert(
      fc.property(fc.nat(10), fc.array(step, { maxLength: 80 }), (floor, steps) => {
        let cursor = new Cursor(floor);
        const done = new Set(Array.from({ length: floor }, (_, seq) => seq));
        for (const { seq, length, reopen, store } of steps) {
          if (store) cursor = Cursor.decode(cursor.encode());
          if (reopen) {
            cursor.reopen(seq);
            done.delete(seq);
          } else {
            cursor.complete(seq, seq + length);
            for (let at = seq; at < seq + length; at++) done.add(at);
          }
        }
        const back = Cursor.decode(cursor.encode());
        for (const one of [cursor, back]) expect(seqs.filter((seq) => one.isDone(seq))).toEqual(seqs.filter((seq) => done.has(seq)));
        const front = seqs.find((seq) => !done.has(seq)) ?? 0;
        expect([cursor.floor, cursor.front]).toEqual([front, front]);
        expect(cursor.end).toBe(Math.max(front, ...[...done].map((seq) => seq + 1)));
        expect(cursor.gaps).toBe(seqs.filter((seq) => seq > front && done.has(seq) && !done.has(seq - 1)).length);
      }),
    );
  });
});

describe("the order in which messages of a key are done", () => {
  it("is known from where the present one began, over any number of stops", () => {
    let cursor = new Cursor(10);
    cursor.keepOrder(1);
    cursor.complete(12, 20);
    cursor.complete(25, 30);
    expect(cursor.orderedFrom).toBe(10);
    for (const order of [1, 2, 2]) {
      cursor = Cursor.decode(cursor.encode());
      cursor.keepOrder(order);
      cursor.complete(cursor.end + 5, cursor.end + 9);
    }
    expect(cursor.orderedFrom).toBe(39);
    expect(Cursor.decode(cursor.encode()).orderedFrom).toBe(39);
    cursor.complete(10, 39);
    expect([cursor.front, cursor.orderedFrom, cursor.end]).toEqual([39, 39, 57]);
  });

  it("is never known when there is none, and need not be where nothing was done above the front", () => {
    const cursor = new Cursor(10);
    cursor.keepOrder(0);
    expect(cursor.orderedFrom).toBe(10);
    cursor.complete(12, 20);
    cursor.keepOrder(0);
    expect(cursor.orderedFrom).toBe(20);
    cursor.complete(10, 20);
    cursor.keepOrder(7);
    expect([cursor.orderedFrom, cursor.encode().length]).toEqual([20, 1]);
  });

  it("can be given up for what is done so far, and is kept again behind that", () => {
    let cursor = new Cursor(10);
    cursor.keepOrder(1);
    cursor.complete(12, 20);
    cursor.breakOrder();
    cursor.complete(25, 30);
    cursor = Cursor.decode(cursor.encode());
    cursor.keepOrder(1);
    expect(cursor.orderedFrom).toBe(20);
  });
});
