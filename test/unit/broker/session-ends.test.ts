import { EventEmitter } from "node:events";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { Engine } from "../../../src/broker/engine.ts";
import { SessionEnds } from "../../../src/broker/session-ends.ts";

const PARTS = { limits: { max: 1_000, ageSecondsMax: 1_000 }, isComing: () => false, ended: () => undefined };

it("on a disk that refuses writes the first end that is not stored is logged, and that they are stored again", async () => {
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  let isFull = true;
  const write = (): Promise<void> => (isFull ? Promise.reject(new Error("disk full")) : Promise.resolve());
  const ends = new SessionEnds({ storeEnd: write, deleteEnd: write, endSubscriptions: write, async *ends() {} }, PARTS, logger);
  const engine = new EventEmitter();
  await ends.follow(engine as unknown as Engine, 0);
  const come = (count: number): void => {
    for (let n = 0; n < count; n++) engine.emit("client", { id: `c${n}`, version: 5, clean: false, sessionExpiryInterval: 60 });
  };
  come(100);
  await ends.close();
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([{ level: 50, error: "disk full" }]);
  isFull = false;
  come(10);
  await ends.close();
  isFull = true;
  come(10);
  await ends.close();
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([{ level: 50 }, { level: 30, failures: 100 }, { level: 50 }]);
});
