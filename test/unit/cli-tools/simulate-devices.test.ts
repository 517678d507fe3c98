import { describe, expect, it } from "vitest";
import { type Device, seededRandom, simulatedDevices } from "../../../src/cli/simulate-devices.ts";

const START = Date.UTC(2026, 0, 2, 3, 4, 5);

function measure(device: Device, count: number): string[] {
  return Array.from({ length: count }, (_, index) => device.measure(START + index * device.periodMs));
}

function parsed(payloads: readonly string[]): Record<string, unknown>[] {
  return payloads.flatMap((payload) => {
    try {
      return [JSON.parse(payload) as Record<string, unknown>];
    } catch {
      return [];
    }
  });
}

function run(seed: number): string[] {
  return simulatedDevices(seededRandom(seed)).flatMap((device) => measure(device, 50));
}

describe("simulated devices", () => {
  const devices = simulatedDevices(seededRandom(1));

  it("are a handful at two sites with about 20 messages a second", () => {
    const perSecond = devices.reduce((sum, { periodMs }) => sum + 1000 / periodMs, 0);
    expect(new Set(devices.map(({ topic }) => topic.split("/")[1]))).toEqual(new Set(["milan", "turin"]));
    expect(new Set(devices.map(({ id }) => id)).size).toBe(devices.length);
    expect(perSecond).toBeGreaterThan(18);
    expect(perSecond).toBeLessThan(22);
  });

  it("measure the same with the same seed", () => {
    expect(run(3)).toEqual(run(3));
    expect(run(3)).not.toEqual(run(4));
  });

  it("send air-quality rows with the columns of the data set, some values missing", () => {
    const device = devices.find(({ topic }) => topic.endsWith("/raw"));
    const rows = parsed(device === undefined ? [] : measure(device, 400));
    expect(Object.keys(rows[0] ?? {})).toEqual(
      "Date,Time,CO(GT),PT08.S1(CO),NMHC(GT),C6H6(GT),PT08.S2(NMHC),NOx(GT),PT08.S3(NOx),NO2(GT),PT08.S4(NO2),PT08.S5(O3),T,RH,AH".split(
        ",",
      ),
    );
    expect(rows[0]).toMatchObject({ Date: "2026-01-02", Time: "03:04:05" });
    const missing = rows.flatMap((row) => Object.values(row)).filter((value) => value === -200).length;
    expect(missing / rows.length / 13).toBeGreaterThan(0.02);
    expect(missing / rows.length / 13).toBeLessThan(0.06);
  });

  it("send temperatures that now and then cross 80 °C and come back", () => {
    const device = devices.find(({ topic }) => topic.endsWith("/temp"));
    const values = parsed(device === undefined ? [] : measure(device, 4_000)).map(({ v }) => Number(v));
    expect(values.every((value) => value > 10 && value < 95)).toBe(true);
    const crossings = values.filter((value, index) => value > 80 && (values[index - 1] ?? 0) <= 80).length;
    expect(crossings).toBeGreaterThanOrEqual(2);
    expect(values.filter((value) => value < 30).length).toBeGreaterThan(values.length / 2);
  });

  it("break about one payload in 500", () => {
    const payloads = devices.flatMap((device) => measure(device, 2_000));
    const broken = payloads.length - parsed(payloads).length;
    expect(broken).toBeGreaterThan(payloads.length / 1_000);
    expect(broken).toBeLessThan(payloads.length / 250);
  });
});
