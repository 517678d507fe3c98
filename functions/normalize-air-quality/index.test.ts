import { isPermanent, testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";
import definition from "./index.ts";

const TOPIC = "sensors/milan/station-1/raw";
const ROW = {
  Date: "2004-03-10",
  Time: "18:00:00",
  "CO(GT)": 2.6,
  "PT08.S1(CO)": 1360,
  "NMHC(GT)": 150,
  "C6H6(GT)": 11.9,
  "PT08.S2(NMHC)": 1046,
  "NOx(GT)": 166,
  "PT08.S3(NOx)": 1056,
  "NO2(GT)": 113,
  "PT08.S4(NO2)": 1692,
  "PT08.S5(O3)": 1268,
  T: 13.6,
  RH: 48.9,
  AH: 0.7578,
};

const harness = () => testFunction(definition, { folder: import.meta.dirname });
const dataOf = async (payload: object | string, topic = TOPIC) => (await harness().send({ topic, payload })).events.map(({ data }) => data);

describe("normalize-air-quality", () => {
  it("emits one measurement per channel, with SenML units and the time of the row", async () => {
    const { events } = await harness().send({ topic: TOPIC, payload: ROW });
    expect(events.every(({ type, subject }) => type === "measurement" && subject === "station-1")).toBe(true);
    const t = Date.parse("2004-03-10T18:00:00Z") / 1_000;
    expect(events.map(({ data }) => data)).toEqual([
      { n: "station-1:co", u: "ug/m3", v: 2600, t },
      { n: "station-1:co-raw", u: "/", v: 1360, t },
      { n: "station-1:nmhc", u: "ug/m3", v: 150, t },
      { n: "station-1:benzene", u: "ug/m3", v: 11.9, t },
      { n: "station-1:nmhc-raw", u: "/", v: 1046, t },
      { n: "station-1:nox", u: "ppm", v: 0.166, t },
      { n: "station-1:nox-raw", u: "/", v: 1056, t },
      { n: "station-1:no2", u: "ug/m3", v: 113, t },
      { n: "station-1:no2-raw", u: "/", v: 1692, t },
      { n: "station-1:o3-raw", u: "/", v: 1268, t },
      { n: "station-1:temperature", u: "Cel", v: 13.6, t },
      { n: "station-1:humidity", u: "%RH", v: 48.9, t },
      { n: "station-1:absolute-humidity", u: "/", v: 0.7578, t },
    ]);
  });

  it("reads numbers written as text alike, and hours of one digit", async () => {
    const text = Object.fromEntries(Object.entries(ROW).map(([column, value]) => [column, String(value)]));
    expect(await dataOf(text)).toEqual(await dataOf(ROW));
    const t = Date.parse("2004-03-11T00:00:00Z") / 1_000;
    expect(await dataOf({ Date: "2004-03-11", Time: "0:00:00", T: 1 })).toEqual([{ n: "station-1:temperature", u: "Cel", v: 1, t }]);
  });

  it("drops missing values however they are written and ignores columns it does not know", async () => {
    const missing = { "CO(GT)": -200, "NMHC(GT)": "-200", "NOx(GT)": "-200.0", "NO2(GT)": null, RH: " ", AH: "", Operator: "Rossi" };
    const data = await dataOf({ Date: "2004-03-10", Time: "18:00:00", ...missing, T: 0 });
    expect(data).toMatchObject([{ n: "station-1:temperature", v: 0 }]);
    expect(await dataOf({ Date: "2004-03-10", Time: "18:00:00", T: -200 })).toEqual([]);
  });

  it("gives the decimal that people compute, for each hundredth of mg/m3 and each ppb", async () => {
    for (let i = 1; i <= 1_500; i += 7) {
      const [co, nox] = await dataOf({ Date: "2004-03-10", Time: "18:00:00", "CO(GT)": Number(`${i}e-1`), "NOx(GT)": i });
      expect([co, nox]).toMatchObject([{ v: i * 100 }, { v: Number(`${i}e-3`) }]);
    }
  });

  it.each<[string, object | string, string]>([
    ["text", "hello", "not JSON"],
    ["a list", [ROW], "not a JSON object"],
    ["another object", { temperature: 20 }, "no column of an air-quality station"],
    ["no date", { Time: "18:00:00", T: 1 }, 'column "Date" is missing'],
    ["a date of another form", { ...ROW, Date: "10/03/2004" }, 'column "Date" is "10/03/2004"'],
    ["a day that does not exist", { ...ROW, Date: "2004-02-30" }, 'no time "2004-02-30 18:00:00"'],
    ["an hour that does not exist", { ...ROW, Time: "24:00:00" }, 'no time "2004-03-10 24:00:00"'],
    ["a word for a number", { ...ROW, T: "warm" }, 'column "T" is "warm", not a number'],
    ["a decimal comma", { ...ROW, "CO(GT)": "2,6" }, 'column "CO(GT)" is "2,6"'],
    ["a number beyond all", { ...ROW, T: "1e999" }, 'column "T" is "1e999"'],
    ["a nested value", { ...ROW, AH: { v: 1 } }, 'column "AH" is {"v":1}'],
  ])("gives up on %s at once, with the reason and without half a row", async (_what, payload, reason) => {
    const run = harness();
    const failure = run.send({ topic: TOPIC, payload });
    await expect(failure).rejects.toSatisfy(isPermanent);
    await expect(failure).rejects.toThrow(reason);
    expect(run.all.events).toEqual([]);
  });

  it("gives up on a device that cannot be in a SenML name", async () => {
    await expect(dataOf(ROW, "sensors/milan/station 1/raw")).rejects.toThrow('"station 1" cannot be part of a SenML name');
  });
});
