import { describe, expect, it } from "vitest";
import { BlankSizes } from "../../../src/runtime/host/blank-sizes.ts";

const wanted = (sizes: BlankSizes, now: number): Record<number, number> => Object.fromEntries(sizes.wanted(now));

describe("demand for isolates", () => {
  it("is one of the usual size as long as nothing is started", () => {
    const sizes = new BlankSizes();
    expect(wanted(sizes, 0)).toEqual({ 32: 1 });
    expect(wanted(sizes, 1_000_000)).toEqual({ 32: 1 });
  });

  it("follows the starts, and is bounded", () => {
    const sizes = new BlankSizes();
    const counts = Array.from({ length: 30 }, (_, i) => {
      sizes.took(32, i);
      return sizes.wanted(i).get(32);
    });
    expect(counts.slice(0, 15)).toEqual(Array.from({ length: 15 }, (_, i) => i + 2));
    expect(counts.slice(15)).toEqual(counts.slice(15).map(() => 16));
  });

  it("is halved every 10 seconds of quiet", () => {
    const sizes = new BlankSizes();
    for (let i = 0; i < 8; i++) sizes.took(32, 5_000);
    expect([0, 10, 20, 30, 40].map((seconds) => sizes.wanted(5_000 + seconds * 1_000).get(32))).toEqual([9, 5, 3, 2, 2]);
    expect(wanted(sizes, 65_000)).toEqual({ 32: 1 });
  });

  it("is for another size once that was asked for twice, and ends ten minutes after the last time", () => {
    const sizes = new BlankSizes();
    sizes.took(64, 0);
    expect(wanted(sizes, 0)).toEqual({ 32: 1 });
    sizes.took(64, 60_000);
    expect(wanted(sizes, 60_000)).toEqual({ 32: 1, 64: 2 });
    expect(wanted(sizes, 659_999)).toEqual({ 32: 1, 64: 1 });
    expect(wanted(sizes, 660_000)).toEqual({ 32: 1 });
  });

  it("is for the three other sizes that were asked for last, and for all together no more than for one", () => {
    const sizes = new BlankSizes();
    for (const memoryMb of [64, 128, 256, 512]) for (let i = 0; i < 30; i++) sizes.took(memoryMb, 0);
    for (let i = 0; i < 5; i++) sizes.took(32, 0);
    expect(wanted(sizes, 0)).toEqual({ 32: 6, 512: 8, 256: 1, 128: 1 });
    sizes.took(128, 0);
    expect([...sizes.wanted(0).keys()]).toEqual([32, 128, 512, 256]);
  });
});
