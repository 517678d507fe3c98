import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { Chunks } from "../../../src/broker/chunks.ts";
import { Turn } from "../../../src/broker/turn.ts";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

it("ends for everybody who had something to do in it, and for nobody else", async () => {
  const turn = new Turn();
  const ended: string[] = [];
  const task = (name: string, then?: () => void): { endTurn(): void } => ({
    endTurn: () => {
      ended.push(name);
      then?.();
    },
  });
  turn.atEnd(task("a", () => turn.atEnd(task("c"))));
  turn.atEnd(task("b"));
  expect(ended).toEqual([]);
  await turns(1);
  expect(ended).toEqual(["a", "b"]);
  await turns(2);
  expect(ended).toEqual(["a", "b", "c"]);
});

it("takes in so much at most, and leaves the rest to the next ones in its order", async () => {
  const turn = new Turn();
  const order: string[] = [];
  const taken = Array.from({ length: 2_500 }, (_, index) => {
    const goOn = (): void => {
      if (turn.takesIn(10)) order.push(`in ${index}`);
      else turn.wait(goOn);
    };
    return goOn;
  });
  for (const each of taken) each();
  turn.atEnd({ endTurn: () => order.push("delivered") });
  expect(order.at(-1)).toBe("in 1023");
  await turns(1);
  expect(order.slice(1_024, 1_026)).toEqual(["delivered", "in 1024"]);
  expect(order.at(-1)).toBe("in 2047");
  await turns(1);
  expect(order.filter((each) => each.startsWith("in"))).toEqual(Array.from({ length: 2_500 }, (_, index) => `in ${index}`));
});

it("counts large chunks for what they are", () => {
  const turn = new Turn();
  let count = 0;
  while (turn.takesIn(65_536)) count++;
  expect(count).toBe(16);
});

it("chunks come out once, in order, and the stream is told to keep the rest while nothing may come out", async () => {
  const stream = new PassThrough();
  const turn = new Turn();
  const out: string[] = [];
  let isOpen = true;
  const chunks = new Chunks(stream, turn, () => {
    for (let chunk = isOpen ? chunks.next() : undefined; chunk !== undefined; chunk = chunks.next()) out.push(chunk.toString());
    chunks.settle(!isOpen);
  });
  stream.write("a");
  await turns(2);
  isOpen = false;
  for (const text of ["b", "c", "d"]) {
    stream.write(text);
    await turns(2);
  }
  expect([out, chunks.isPaused, stream.isPaused()]).toEqual([["a"], true, true]);
  isOpen = true;
  out.push(String(chunks.next()));
  chunks.settle(false);
  await turns(3);
  expect([out, chunks.isPaused]).toEqual([["a", "b", "c", "d"], false]);
});

it("a chunk that comes when a turn has taken in enough comes out in the next", async () => {
  const stream = new PassThrough();
  const turn = new Turn();
  const out: string[] = [];
  const chunks = new Chunks(stream, turn, () => {
    const chunk = chunks.next();
    if (chunk !== undefined) out.push(chunk.toString());
    chunks.settle(false);
  });
  await turns(2);
  while (turn.takesIn(0));
  stream.emit("data", Buffer.from("a"));
  stream.emit("data", Buffer.from("b"));
  expect([out, chunks.isPaused]).toEqual([[], true]);
  await turns(1);
  expect(out).toEqual(["a"]);
  expect(String(chunks.next())).toBe("b");
});
