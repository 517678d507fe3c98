import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";

const SEQS = 120;
const seqs = Array.from({ length: SEQS + 10 }, (_, seq) => seq);

/** A cursor and the plain set of what it should call done. */
class Model {
  readonly cursor: Cursor;
  readonly done: Set<number>;

  constructor(floor: number) {
    this.cursor = new Cursor(floor);
    this.done = new Set(Array.from({ length: floor }, (_, seq) => seq));
  }

  complete(start: number, length: number): void {
    this.cursor.complete(start, start + length);
    for (let seq = start; seq < start + length; seq++) this.done.add(seq);
  }

  get floor(): number {
    let floor = 0;
    while (this.done.has(floor)) floor++;
    return floor;
  }

  /** Runs of done seqs above the floor. */
  get gaps(): number {
    let runs = 0;
    for (let seq = this.floor; seq <= SEQS * 2; seq++) if (this.done.has(seq) && !this.done.has(seq - 1)) runs++;
    return runs;
  }
}

const steps = fc.array(fc.tuple(fc.nat(SEQS), fc.nat(6)), { maxLength: 60 });

function played(floor: number, ranges: readonly (readonly [number, number])[]): Model {
  const model = new Model(floor);
  for (const [start, length] of ranges) model.complete(start, length);
  return model;
}

const shown = (cursor: Cursor): unknown => ({ floor: cursor.floor, gaps: cursor.gaps, done: seqs.filter((seq) => cursor.isDone(seq)) });
const expected = (model: Model): unknown => ({ floor: model.floor, gaps: model.gaps, done: seqs.filter((seq) => model.done.has(seq)) });

describe("a cursor", () => {
  it("knows the same as a set of seqs, whatever finishes in whatever order", () => {
    fc.assert(
      fc.property(fc.nat(20), steps, (floor, ranges) => {
        const model = played(floor, ranges);
        expect(shown(model.cursor)).toEqual(expected(model));
      }),
    );
  });

  it("comes back from its bytes as it was, and goes on like the original", () => {
    fc.assert(
      fc.property(fc.nat(20), steps, steps, (floor, before, after) => {
        const model = played(floor, before);
        const copy = Cursor.decode(model.cursor.encode());
        expect(shown(copy)).toEqual(expected(model));
        for (const [start, length] of after) {
          model.complete(start, length);
          copy.complete(start, start + length);
        }
        expect(shown(copy)).toEqual(expected(model));
      }),
    );
  });

  it("keeps seqs far beyond 32 bits", () => {
    const floor = 2 ** 47;
    const cursor = new Cursor(floor);
    cursor.complete(floor + 5, floor + 2 ** 33);
    const copy = Cursor.decode(cursor.encode());
    expect([copy.floor, copy.isDone(floor + 4), copy.isDone(floor + 5), copy.isDone(floor + 2 ** 33)]).toEqual([floor, false, true, false]);
    copy.complete(floor, floor + 5);
    expect(copy.floor).toBe(floor + 2 ** 33);
  });

  it("holds one range for each hole, however many seqs are done", () => {
    const cursor = new Cursor(0);
    for (let seq = 10_000; seq > 0; seq--) cursor.complete(seq);
    expect([cursor.floor, cursor.gaps]).toEqual([0, 1]);
    cursor.complete(0);
    expect([cursor.floor, cursor.gaps, cursor.encode().length]).toEqual([10_001, 0, 2]);
  });
});
