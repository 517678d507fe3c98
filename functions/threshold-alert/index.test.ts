import { isPermanent, testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";
import definition from "./index.ts";

const TOPIC = "sensors/milan/boiler-1/temp";
const harness = (env?: Record<string, string>) =>
  testFunction(definition, { folder: import.meta.dirname, ...(env === undefined ? {} : { env }) });

describe("threshold-alert", () => {
  it("acts on a crossing only, and not between the thresholds", async () => {
    const run = harness();
    const states: string[] = [];
    for (const v of [70, 80, 80.1, 90, 76, 80.5, 75, 74.9, 76, 80, 81]) {
      const { publishes } = await run.send({ topic: TOPIC, payload: { v } });
      states.push(publishes.map(({ payload }) => JSON.stringify(payload)).join());
    }
    expect(states).toEqual(["", "", '{"on":true}', "", "", "", "", '{"on":false}', "", "", '{"on":true}']);
    expect(run.all.events.map(({ type }) => type)).toEqual(["alert", "normal", "alert"]);
  });

  it("commands the fan of its device and says what happened", async () => {
    const { publishes, events } = await harness().send({ topic: TOPIC, payload: { v: 81.5, t: 1_700_000_000 }, time: 1_700_000_005_000 });
    expect(publishes).toEqual([{ topic: "cmd/milan/boiler-1/fan", payload: { on: true }, qos: 1, retain: false }]);
    const data = { n: "boiler-1:temperature", u: "Cel", v: 81.5, t: 1_700_000_000, state: "high", high: 80, low: 75 };
    expect(events).toEqual([{ type: "alert", subject: "boiler-1", time: 1_700_000_005_000, data }]);
  });

  it("takes a bare number, with the time of the message", async () => {
    const { events } = await harness().send({ topic: TOPIC, payload: 99, time: 1_700_000_005_000 });
    expect(events).toMatchObject([{ data: { v: 99, t: 1_700_000_005 } }]);
  });

  it("keeps devices of the same name at different sites apart", async () => {
    const run = harness();
    await run.send({ topic: TOPIC, payload: 99 });
    const { publishes } = await run.send({ topic: "sensors/rome/boiler-1/temp", payload: 99 });
    expect(publishes).toMatchObject([{ topic: "cmd/rome/boiler-1/fan" }]);
    expect(run.state(TOPIC)).toEqual({ on: true });
  });

  it("takes its thresholds from env", async () => {
    const { publishes } = await harness({ HIGH: "30", LOW: "20" }).send({ topic: TOPIC, payload: 31 });
    expect(publishes).toHaveLength(1);
  });

  it.each([
    ["hello", "not JSON"],
    ['"81"', 'no number "v"'],
    ["{}", 'no number "v"'],
    ["null", 'no number "v"'],
    ['{"v":1e999}', 'no number "v"'],
    ['{"v":81,"t":"now"}', '"t" is "now"'],
  ])("gives up on %s at once", async (payload, reason) => {
    const failure = harness().send({ topic: TOPIC, payload });
    await expect(failure).rejects.toSatisfy(isPermanent);
    await expect(failure).rejects.toThrow(reason);
  });

  it.each([{ HIGH: "hot" }, { HIGH: "" }, { LOW: "81" }])("refuses thresholds that make no sense: %j", async (env) => {
    await expect(harness(env).send({ topic: TOPIC, payload: 99 })).rejects.toThrow("needs numbers HIGH and LOW");
  });
});
