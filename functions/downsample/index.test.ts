import { isPermanent, testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";
import definition from "./index.ts";

const TOPIC = "sensors/milan/boiler-1/temp";
const MINUTE = 1_699_999_980;
const harness = () => testFunction(definition, { folder: import.meta.dirname });

describe("downsample", () => {
  it("emits a finished minute when the next one starts, and only then", async () => {
    const run = harness();
    for (const [t, v] of [
      [0, 21],
      [20.5, 19],
      [59.999, 22.1],
    ] as const) {
      expect((await run.send({ topic: TOPIC, payload: { v, t: MINUTE + t } })).events).toEqual([]);
    }
    const { events } = await run.send({ topic: TOPIC, payload: { v: 50, t: MINUTE + 60 } });
    expect(events).toMatchObject([
      {
        type: "measurement.minute",
        subject: "boiler-1",
        data: { n: "boiler-1:temperature", u: "Cel", v: 20.7, min: 19, max: 22.1, count: 3, t: MINUTE },
      },
    ]);
    expect(run.state(TOPIC)).toMatchObject({ minutes: { open: [{ start: (MINUTE + 60) * 1_000, summary: { mean: 50, count: 1 } }] } });
  });

  it("takes the time of the message where the payload has none, and a bare number", async () => {
    const run = harness();
    await run.send({ topic: TOPIC, payload: 20, time: MINUTE * 1_000 });
    const { events } = await run.send({ topic: TOPIC, payload: { v: 30 }, time: (MINUTE + 600) * 1_000 });
    expect(events).toMatchObject([{ data: { v: 20, count: 1, t: MINUTE } }]);
  });

  it("ignores late values and says so", async () => {
    const run = harness();
    await run.send({ topic: TOPIC, payload: { v: 20, t: MINUTE + 60 } });
    const before = run.state(TOPIC);
    const { events, logs } = await run.send({ topic: TOPIC, payload: { v: 99, t: MINUTE + 59 } });
    expect(events).toEqual([]);
    expect(logs).toMatchObject([{ level: "warn", message: "a value of boiler-1 is late and ignored" }]);
    expect(run.state(TOPIC)).toEqual(before);
  });

  it("keeps sites and devices apart", async () => {
    const run = harness();
    await run.send({ topic: TOPIC, payload: { v: 20, t: MINUTE } });
    const { events } = await run.send({ topic: "sensors/rome/boiler-1/temp", payload: { v: 20, t: MINUTE + 60 } });
    expect(events).toEqual([]);
  });

  it("agrees with a computation over all values at once", async () => {
    const values = Array.from({ length: 300 }, (_, index) => ({ t: MINUTE + index * 7, v: Math.round(Math.sin(index) * 1_000) / 10 }));
    const run = harness();
    for (const payload of values) await run.send({ topic: TOPIC, payload });
    const minutes = Map.groupBy(values, ({ t }) => Math.floor(t / 60) * 60);
    const expected = [...minutes].slice(0, -1).map(([t, inside]) => {
      const all = inside.map(({ v }) => v);
      return {
        t,
        count: all.length,
        min: Math.min(...all),
        max: Math.max(...all),
        v: expect.closeTo(all.reduce((sum, v) => sum + v) / all.length, 6),
      };
    });
    expect(run.all.events.map(({ data }) => data)).toMatchObject(expected);
    expect(run.all.events).toHaveLength(expected.length);
  });

  it.each([
    ["hello", "not JSON"],
    ["[]", 'no number "v"'],
    ['{"v":1,"t":null}', '"t" is null'],
    [`{"v":1,"t":${MINUTE * 1_000}}`, "more than a day ahead"],
  ])("gives up on %s at once", async (payload, reason) => {
    const failure = harness().send({ topic: TOPIC, payload });
    await expect(failure).rejects.toSatisfy(isPermanent);
    await expect(failure).rejects.toThrow(reason);
  });
});
