import { describe, expect, it } from "vitest";
import type { LogPage } from "../../../src/core/logs.ts";
import type { TracedMessage, TraceRecord } from "../../../src/core/traces.ts";
import { TraceViews } from "../../../src/http/trace-views.ts";
import { Parts } from "./support.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const signal = new AbortController().signal;

/** Views of what was recorded; nothing of it is in the journal any more. */
function views(records: readonly TraceRecord[], logs: LogPage["records"] = []): TraceViews {
  const parts = new Parts();
  return new TraceViews({
    journal: parts.journal,
    stats: () => parts.stats(),
    logs: () => Promise.resolve({ records: logs, next: 0 }),
    traces: {
      ...parts.traces,
      ofMessage: (seq) => Promise.resolve(records.filter((record) => record.seq === seq)),
      ofTrace: (traceId, limit) =>
        Promise.resolve([...new Set(records.flatMap(({ trace, seq }) => (trace === traceId ? [seq] : [])))].slice(0, limit)),
    },
  });
}

function recordOf(seq: number, more: Partial<TraceRecord> = {}): TraceRecord {
  const about = { seq, function: "f", version: 1, attempt: 1, arrived: 1, sent: 2, answered: 3, outcome: "done" } as const;
  return { ...about, state: [], events: [], publishes: [], derived: [], ...more };
}

const countOf = ({ derived }: TracedMessage): number => derived.reduce((sum, each) => sum + countOf(each), 1);
const depthOf = ({ derived }: TracedMessage): number => 1 + Math.max(0, ...derived.map(depthOf));

describe("what a message led to", () => {
  it("is followed so far and so many times, and what is left out is said", async () => {
    const deep = await views(Array.from({ length: 40 }, (_, seq) => recordOf(seq, { derived: [seq + 1] }))).find("0", signal);
    expect(deep.messages.map(depthOf)).toEqual([17]);
    expect(JSON.stringify(deep)).toContain('"cut":true');
    const wide = Array.from({ length: 300 }, (_, seq) =>
      recordOf(seq, { derived: seq === 0 ? Array.from({ length: 299 }, (_none, n) => n + 1) : [] }),
    );
    const { messages } = await views(wide).find("0", signal);
    expect(messages.map(countOf)).toEqual([100]);
    expect(messages[0]?.cut).toBe(true);
  });

  it("is shown once, also where records claim a circle", async () => {
    const { messages } = await views([recordOf(1, { derived: [2] }), recordOf(2, { derived: [1, 2] })]).find("1", signal);
    expect(messages.map(countOf)).toEqual([2]);
  });
});

describe("a trace", () => {
  it("is what its first messages led to, and those that nothing recorded led to", async () => {
    const records = [recordOf(1, { trace: TRACE, derived: [3] }), recordOf(3, { trace: TRACE }), recordOf(5, { trace: TRACE })];
    const { messages, cut } = await views(records).find(TRACE, signal);
    expect(messages.map(({ seq }) => seq)).toEqual([1, 5]);
    expect(messages[0]?.derived.map(({ seq }) => seq)).toEqual([3]);
    expect(cut).toBeUndefined();
  });

  it("of too many messages says so", async () => {
    const { messages, cut } = await views(Array.from({ length: 150 }, (_, seq) => recordOf(seq, { trace: TRACE }))).find(TRACE, signal);
    expect([messages.length, cut]).toEqual([100, true]);
  });

  it("that was not sampled is found by what functions logged", async () => {
    const line = { n: 1, time: 5, level: "info", function: "f", version: 1, invocation: "7.1", trace: TRACE, message: "here" } as const;
    const { messages } = await views([], [line]).find(TRACE, signal);
    expect(messages).toMatchObject([{ seq: 7, functions: [{ function: "f", tries: [], logs: [{ message: "here" }] }] }]);
  });
});

describe("an unknown id", () => {
  it.each([
    ["nonsense", "REQUEST_INVALID", "is not a message (GATEWAY:SEQ or SEQ)"],
    ["other:1", "TRACE_UNKNOWN", 'is of the gateway "other", and this is "milan-1"'],
    ["1", "TRACE_UNKNOWN", "no message 1 has come in yet; the newest is 0"],
    ["0", "TRACE_UNKNOWN", "nothing is known of message 0 any more; the journal keeps messages from 512 on"],
    [TRACE, "TRACE_UNKNOWN", `nothing is known of the trace ${TRACE}`],
  ])("%s is answered with %s", async (id, code, message) => {
    await expect(views([]).find(id, signal)).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
  });
});
