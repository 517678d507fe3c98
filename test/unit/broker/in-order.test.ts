import { expect, it } from "vitest";
import { InOrder } from "../../../src/broker/in-order.ts";

it("what is under one name ends in the order in which it was begun, whatever ends first, and other names do not wait", async () => {
  const order = new InOrder();
  const ended: string[] = [];
  const first = Promise.withResolvers<string>();
  const note = (text: string): void => void ended.push(text);
  const all = [
    order.after("a", first.promise).then(note),
    order.after("a", Promise.reject(new Error("second"))).catch((error: Error) => note(error.message)),
    order.after("a", Promise.resolve("third")).then(note),
    order.after("b", Promise.resolve("other")).then(note),
  ];
  await all[3];
  expect(ended).toEqual(["other"]);
  first.resolve("first");
  await Promise.all(all);
  expect(ended).toEqual(["other", "first", "second", "third"]);
});
