import { describe, expect, it } from "vitest";
import type { RuntimeJournal } from "../../../src/runtime/runtime-journal.ts";
import { PatientJournal } from "../../../src/runtime/patient-journal.ts";

const never = (): never => {
  throw new Error("nothing else is asked for");
};

/** A journal of which every read fails `failures` times. */
function failing(failures: number): RuntimeJournal {
  let left = failures;
  const read = (): Promise<never[]> => (left-- > 0 ? Promise.reject(new Error(`${left} to go`)) : Promise.resolve([]));
  const count = (): Promise<number> => read().then(() => 7);
  return {
    commit: never,
    dropMarks: () => read().then(() => undefined),
    deadLettersFull: false,
    read,
    loadState: read,
    state: { marks: read, bytes: count, sizes: read },
  };
}

/** Sleeps until it is woken, or aborted. */
class Sleeper {
  readonly slept: number[] = [];
  wake: () => void = () => undefined;
  readonly now = Date.now;
  readonly elapsed = (): number => 0;
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve, reject) => {
      this.wake = resolve;
      signal?.addEventListener("abort", () => reject(new Error("aborted")));
      if (signal?.aborted === true) reject(new Error("aborted"));
    });
  }
}

/** Lets everything happen that only waits for promises. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

const READS: readonly (readonly [string, (journal: RuntimeJournal) => Promise<unknown>])[] = [
  ["messages", (journal) => journal.read(1, 1)],
  ["state", (journal) => journal.loadState("f", "k")],
  ["marks", (journal) => journal.state.marks("f")],
  ["keys to forget", (journal) => journal.dropMarks("f").then(() => true)],
  ["bytes", (journal) => journal.state.bytes("f")],
  ["sizes", (journal) => journal.state.sizes("f", [])],
];

describe("a read of the journal that fails", () => {
  it.each(READS)("is tried again with growing pauses; the first failure is told, and the end of the trouble: %s", async (_what, read) => {
    const clock = new Sleeper();
    const told: unknown[] = [];
    const stopping = new AbortController().signal;
    const journal = new PatientJournal(failing(9), {
      clock,
      stopping,
      failed: (error) => told.push(error),
      recovered: () => told.push("over"),
    });
    const reading = read(journal);
    for (let failure = 1; failure <= 9; failure++) {
      await turns();
      expect([clock.slept.length, journal.isFailing]).toEqual([failure, true]);
      clock.wake();
    }
    await expect(reading).resolves.toBeDefined();
    expect(journal.isFailing).toBe(false);
    expect(told).toEqual([expect.any(Error), "over"]);
    expect(Math.min(...clock.slept)).toBeGreaterThan(0);
    expect(Math.max(...clock.slept)).toBeLessThanOrEqual(5_000);
    expect(clock.slept.at(-1)).toBeGreaterThan(clock.slept[0] ?? Infinity);
  });

  it("is not tried again when the function stops, in the middle of a pause or before", async () => {
    const clock = new Sleeper();
    const stop = new AbortController();
    const told: unknown[] = [];
    const journal = new PatientJournal(failing(9), {
      clock,
      stopping: stop.signal,
      failed: (error) => told.push(error),
      recovered: () => told.push("over"),
    });
    const reading = journal.read(1, 1);
    await turns();
    stop.abort();
    await expect(reading).rejects.toThrow("aborted");
    await expect(journal.read(1, 1)).rejects.toThrow("7 to go");
    expect([told.length, clock.slept.length, journal.isFailing]).toEqual([1, 1, false]);
  });
});
