import { describe, expect, it } from "vitest";
import type { TraceRecord } from "../../../src/core/traces.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const TRACES = ["4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737"] as const;

function recordOf(seq: number, more: Partial<TraceRecord> = {}): TraceRecord {
  const about = { seq, function: "f", version: 1, attempt: 1, arrived: 1, sent: 2, answered: 3, outcome: "done" } as const;
  return { ...about, state: [], events: [], publishes: [], derived: [], ...more };
}

async function opened(folder: TempFolder): Promise<Journal> {
  return Journal.open({ location: folder.join("journal"), batchMax: 64 });
}

describe("what became of messages", () => {
  it("is found by message, function and try, and by trace, also after a restart", async () => {
    await using folder = await TempFolder.make();
    const records = [
      recordOf(7, { attempt: 1, outcome: "retry", code: "FUNCTION_THREW", trace: TRACES[0] }),
      recordOf(7, { attempt: 2, trace: TRACES[0], derived: [9], events: [{ type: "m", outbox: "b28=" }] }),
      recordOf(7, { function: "g", trace: TRACES[0] }),
      recordOf(8, { trace: TRACES[1] }),
      recordOf(9, { trace: TRACES[0] }),
    ];
    {
      await using journal = await opened(folder);
      await journal.traces.put(records, 2 ** 20);
    }
    await using journal = await opened(folder);
    expect(await journal.traces.ofMessage(7, 100)).toEqual(records.slice(0, 3));
    expect(await journal.traces.ofMessage(6, 100)).toEqual([]);
    expect(await journal.traces.ofTrace(TRACES[0], 100)).toEqual([7, 9]);
    expect(await journal.traces.ofTrace(TRACES[1], 100)).toEqual([8]);
    expect(await journal.traces.ofTrace("f".repeat(32), 100)).toEqual([]);
  });

  it("stays within its bytes: the oldest messages go first, from the list of their trace as well", async () => {
    await using folder = await TempFolder.make();
    await using journal = await opened(folder);
    const max = 64 * 1024;
    for (let seq = 1; seq <= 2_000; seq += 50) {
      const records = Array.from({ length: 50 }, (_, at) => recordOf(seq + at, { trace: TRACES[0] }));
      await journal.traces.put(records, max);
      expect(await journal.traces.bytes()).toBeLessThanOrEqual(max);
    }
    const kept = await journal.traces.ofTrace(TRACES[0], 10_000);
    expect(kept.length).toBeGreaterThan(100);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, at) => 2_001 - kept.length + at));
    for (const seq of kept) expect(await journal.traces.ofMessage(seq, 10)).toHaveLength(1);
    expect(await journal.traces.ofMessage((kept[0] ?? 0) - 1, 10)).toEqual([]);
  });

  it("is counted right when messages are handled again and when all of it goes", async () => {
    await using folder = await TempFolder.make();
    let bytes: number;
    {
      await using journal = await opened(folder);
      for (let times = 0; times < 3; times++) {
        await journal.traces.put([recordOf(1, { trace: TRACES[0] }), recordOf(1, { function: "g", trace: TRACES[0] })], 2 ** 20);
      }
      bytes = await journal.traces.bytes();
      const value = JSON.stringify(recordOf(1, { trace: TRACES[0] })).length;
      // Keys of 15 bytes, and one of 25 for the trace.
      expect(bytes).toBe(2 * (value + 15) + 25);
    }
    await using journal = await opened(folder);
    expect(await journal.traces.bytes()).toBe(bytes);
    await journal.traces.put([recordOf(2)], 1);
    expect(await journal.traces.ofTrace(TRACES[0], 10)).toEqual([]);
    expect(await journal.traces.bytes()).toBe(JSON.stringify(recordOf(2)).length + 15);
  });
});
