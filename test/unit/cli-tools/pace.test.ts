import { describe, expect, it } from "vitest";
import { asFastAsPossible, recordedPace, steadyPace } from "../../../src/cli/replay/pace.ts";
import type { Clock } from "../../../src/core/clock.ts";

/** Time that passes only by sleeping or by `late`. */
class FakeClock implements Clock {
  #now = 1_000_000;
  readonly slept: number[] = [];
  now(): number {
    return this.#now;
  }
  elapsed(): number {
    return this.#now;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.#now += ms;
  }
  late(ms: number): void {
    this.#now += ms;
  }
}

const { signal } = new AbortController();
const row = (time: number): { line: number; cells: string[] } => ({ line: 1, cells: [String(time)] });
const timeOf = ({ cells }: { readonly cells: readonly string[] }): number => Number(cells[0]);

describe("pace", () => {
  it("of a rate is kept on average, also above one row a millisecond", async () => {
    const clock = new FakeClock();
    const pace = steadyPace(4_000, clock);
    const startedAt = clock.now();
    for (let index = 0; index <= 8_000; index++) await pace.wait(row(0), signal);
    expect(clock.now() - startedAt).toBeGreaterThanOrEqual(1_999);
    expect(clock.now() - startedAt).toBeLessThanOrEqual(2_001);
  });

  it("makes up for a small delay and not for an outage", async () => {
    const clock = new FakeClock();
    const pace = steadyPace(10, clock);
    await pace.wait(row(0), signal);
    clock.late(150);
    await pace.wait(row(0), signal);
    await pace.wait(row(0), signal);
    expect(clock.slept).toEqual([50]);
    clock.late(60_000);
    await pace.wait(row(0), signal);
    await pace.wait(row(0), signal);
    expect(clock.slept).toEqual([50, 100]);
  });

  it("of a recording keeps its gaps, shorter by the speed, and never goes back", async () => {
    const clock = new FakeClock();
    const pace = recordedPace(60, timeOf, clock);
    const sent: number[] = [];
    const startedAt = clock.now();
    for (const time of [0, 60_000, 30_000, 60_000, 180_000]) {
      await pace.wait(row(time), signal);
      sent.push(clock.now() - startedAt);
    }
    expect(sent).toEqual([0, 1_000, 1_000, 1_000, 3_000]);
  });

  it("waits longer than a timer can, and stops when told", async () => {
    const clock = new FakeClock();
    const pace = recordedPace(1, timeOf, clock);
    await pace.wait(row(0), signal);
    await pace.wait(row(90 * 86_400_000), signal);
    expect(Math.max(...clock.slept)).toBeLessThan(2 ** 31);
    await expect(pace.wait(row(91 * 86_400_000), AbortSignal.abort())).rejects.toThrow("abort");
    await expect(asFastAsPossible.wait(row(0), signal)).resolves.toBeUndefined();
  });
});
