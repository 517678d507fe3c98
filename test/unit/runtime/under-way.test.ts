import { expect, it } from "vitest";
import { UnderWay } from "../../../src/runtime/under-way.ts";

const CPU_MS = 1_000;

it("makes large batches of messages that want little, or of which nothing is known", () => {
  const underWay = new UnderWay();
  expect(underWay.fitting(CPU_MS, Infinity)).toBe(256);
  underWay.weigh(256, 1_024);
  expect(underWay.fitting(CPU_MS, Infinity)).toBe(256);
});

it("makes batches at once small when messages want much, and larger again step by step", () => {
  const underWay = new UnderWay();
  underWay.weigh(1, 1_024);
  expect(underWay.fitting(CPU_MS, Infinity)).toBe(1);
  underWay.weigh(1, 0);
  expect(underWay.fitting(CPU_MS, Infinity)).toBe(2);
  for (let i = 0; i < 10; i++) underWay.weigh(2, 2);
  expect(underWay.fitting(CPU_MS, Infinity)).toBe(256);
});

it("expects of another lane what it has learned in this one", () => {
  const [one, other] = [new UnderWay(), new UnderWay()];
  one.weigh(1, 512);
  other.expectAs(one);
  expect(other.fitting(CPU_MS, Infinity)).toBe(2);
});
