import { describe, expect, it } from "vitest";
import { Attempts } from "../../../../src/broker/access/attempts.ts";
import { Refusals } from "../../../../src/broker/access/refusals.ts";
import { silentLogger } from "../../../../src/core/log.ts";
import { HandClock } from "../../../support/hand-clock.ts";

function failTimes(attempts: Attempts, attempt: { address: string; name: string }, times: number): void {
  for (let index = 0; index < times; index++) attempts.failed(attempt);
}

describe("attempts", () => {
  const from = { address: "10.0.0.1", name: "anna" };

  it("are free five times, then wait twice as long after each", () => {
    const clock = new HandClock(0);
    const attempts = new Attempts(clock);
    failTimes(attempts, from, 4);
    expect(attempts.waitMs(from)).toBe(0);
    const waits = [];
    for (let index = 0; index < 4; index++) {
      attempts.failed(from);
      waits.push(attempts.waitMs(from));
      clock.advance(attempts.waitMs(from));
      expect(attempts.waitMs(from)).toBe(0);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
  });

  it("count by address for every name, and by name for every address", () => {
    const attempts = new Attempts(new HandClock(0));
    for (let index = 0; index < 9; index++) attempts.failed({ address: "10.0.0.1", name: `name-${index}` });
    expect(attempts.waitMs({ address: "10.0.0.1", name: "new" })).toBe(16_000);
    expect(attempts.waitMs({ address: "10.0.0.2", name: "new" })).toBe(0);
    for (let index = 0; index < 20; index++) attempts.failed({ address: `10.1.0.${index}`, name: "anna" });
    expect(attempts.waitMs({ address: "10.9.9.9", name: "anna" })).toBe(30_000);
  });

  it("takes 64 bits of version 6 for one address", () => {
    const attempts = new Attempts(new HandClock(0));
    for (let index = 0; index < 6; index++) attempts.failed({ address: `2001:db8:1:2:${index}::4`, name: `x${index}` });
    expect(attempts.waitMs({ address: "2001:db8:1:2::9", name: "y" })).toBe(2_000);
    expect(attempts.waitMs({ address: "2001:db8:1:3::9", name: "y" })).toBe(0);
    expect(attempts.waitMs({ address: "::1", name: "y" })).toBe(0);
  });

  it("of one name count once for its address, however often it fails", () => {
    const attempts = new Attempts(new HandClock(0));
    failTimes(attempts, { address: "10.0.0.1", name: "broken" }, 100);
    expect(attempts.waitMs({ address: "10.0.0.1", name: "broken" })).toBe(300_000);
    expect(attempts.waitMs({ address: "10.0.0.1", name: "another" })).toBe(0);
  });

  it("of an address are not forgotten because one name came in", () => {
    const attempts = new Attempts(new HandClock(0));
    for (let index = 0; index < 9; index++) attempts.failed({ address: "10.0.0.1", name: `name-${index}` });
    attempts.succeeded({ address: "10.0.0.1", name: "own" });
    expect(attempts.waitMs({ address: "10.0.0.1", name: "own" })).toBe(0);
    expect(attempts.waitMs({ address: "10.0.0.1", name: "new" })).toBe(16_000);
  });

  it("of who came in before are counted for themselves, so that others cannot keep them out", () => {
    const attempts = new Attempts(new HandClock(0));
    failTimes(attempts, from, 3);
    attempts.succeeded(from);
    failTimes(attempts, { address: "10.0.0.1", name: "broken" }, 20);
    failTimes(attempts, { address: "66.6.6.6", name: "anna" }, 20);
    expect(attempts.waitMs(from)).toBe(0);
    failTimes(attempts, from, 4);
    expect(attempts.waitMs(from)).toBe(0);
    attempts.failed(from);
    expect(attempts.waitMs(from)).toBe(1_000);
  });

  it("are forgotten after a quarter of an hour, and kept in a bounded table", () => {
    const clock = new HandClock(0);
    const attempts = new Attempts(clock);
    failTimes(attempts, from, 30);
    clock.advance(300_000);
    expect(attempts.waitMs(from)).toBe(0);
    clock.advance(900_001);
    attempts.failed(from);
    expect(attempts.waitMs(from)).toBe(0);
    failTimes(attempts, from, 10);
    for (let index = 0; index < 20_001; index++)
      attempts.failed({ address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, name: "n" });
    expect(attempts.waitMs(from)).toBe(0);
  });
});

describe("refusals", () => {
  it("are logged sixty times a minute, and counted beyond that", () => {
    const clock = new HandClock(0);
    const lines: unknown[][] = [];
    const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
      warn: (...args: unknown[]) => void lines.push(args),
    });
    const refusals = new Refusals(logger, clock);
    for (let index = 0; index < 100; index++) refusals.log({ client: "c".repeat(5_000), user: undefined }, "why", "what");
    expect(lines.length).toBe(60);
    expect(lines[0]).toEqual([{ client: "c".repeat(200), reason: "why" }, "what"]);
    clock.advance(60_000);
    refusals.log({ client: "d" }, "why", "what");
    expect(lines.slice(60)).toEqual([
      [{ leftOut: 40 }, "more clients were refused than are logged"],
      [{ client: "d", reason: "why" }, "what"],
    ]);
  });
});
