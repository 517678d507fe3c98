import { expect, it } from "vitest";
import { Backlog } from "../../../src/broker/backlog.ts";

interface Packet {
  readonly number: number;
  readonly payload: Buffer;
}

/** A backlog with so many packets of a size, and the numbers of those that nobody waits for any more, in the order in which that was said. */
function filled(count: number, bytes: number): { backlog: Backlog<Packet>; told: number[] } {
  const backlog = new Backlog<Packet>();
  const told: number[] = [];
  for (let number = 0; number < count; number++) backlog.push({ number, payload: Buffer.alloc(bytes) }, () => told.push(number));
  return { backlog, told };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function taking(count: number): { write: (packet: Packet) => boolean; taken: number[] } {
  const taken: number[] = [];
  return { write: ({ number }) => taken.length < count && taken.push(number) > 0, taken };
}

it.each([
  ["packets", 0, 1_000],
  ["bytes", 64 * 1024, 8],
])("lets those wait who brought more %s than may wait here, and tells each once", (_, bytes, max) => {
  const { backlog, told } = filled(max + 500, bytes);
  backlog.ease();
  expect(told).toEqual(numbers(max));
  const some = taking(3);
  backlog.drain(some.write);
  expect(some.taken).toEqual([0, 1, 2]);
  expect(told).toEqual(numbers(max + 3));
  const rest = taking(Infinity);
  backlog.drain(rest.write);
  expect(rest.taken).toHaveLength(max + 497);
  expect(told).toEqual(numbers(max + 500));
  expect(backlog.first).toBeUndefined();
});

it("sheds the oldest that may go until nobody waits who brought one", () => {
  const { backlog, told } = filled(1_499, 1);
  backlog.ease();
  expect(backlog.isWaitedFor).toBe(true);
  expect(backlog.shed(({ number }) => number % 2 === 0)).toBe(499);
  expect(told).toEqual(numbers(1_499));
  expect(backlog.isWaitedFor).toBe(false);
  const rest = taking(Infinity);
  backlog.drain(rest.write);
  expect(rest.taken).toEqual(numbers(1_499).filter((number) => number >= 998 || number % 2 === 1));
});

it("sheds nothing for those who are to wait", () => {
  const { backlog, told } = filled(1_200, 1);
  expect(backlog.shed(() => false)).toBe(0);
  expect(told).toEqual(numbers(1_000));
  expect(backlog.isWaitedFor).toBe(true);
});

it("tells at once of what is taken at once", () => {
  const { backlog, told } = filled(3_000, 1);
  backlog.drain(() => true);
  expect(told).toEqual(numbers(3_000));
});

it("keeps what is brought while somebody is told", () => {
  const backlog = new Backlog<Packet>();
  const more: Packet = { number: 2, payload: Buffer.alloc(0) };
  backlog.push({ number: 1, payload: Buffer.alloc(0) }, () => backlog.push(more, () => undefined));
  backlog.drain(() => true);
  expect(backlog.first).toBe(more);
});
