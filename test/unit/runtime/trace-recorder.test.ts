import { describe, expect, it } from "vitest";
import { Drops } from "../../../src/core/drops.ts";
import { silentLogger } from "../../../src/core/log.ts";
import type { TraceRecord } from "../../../src/core/traces.ts";
import { emptyDraft } from "../../../src/runtime/draft.ts";
import type { Item } from "../../../src/runtime/item.ts";
import { findTrace } from "../../../src/runtime/item-trace.ts";
import { TraceNote } from "../../../src/runtime/trace-note.ts";
import { TraceRecorder } from "../../../src/runtime/trace-recorder.ts";
import { entryOf } from "../../support/journal.ts";

interface World {
  readonly recorder: TraceRecorder;
  readonly written: TraceRecord[];
  readonly dropped: () => number;
  readonly pass: (ms: number) => void;
  /** Whether the disk takes what is written. */
  works: boolean;
}

function made(rates: { rateMax: number; sampleMax: number }): World {
  let now = 0;
  const drops = new Drops();
  const written: TraceRecord[] = [];
  const world = { works: true };
  const recorder = new TraceRecorder({
    ...rates,
    bytesMax: 1_000,
    drops,
    logger: silentLogger,
    now: () => now,
    store: {
      async put(records) {
        if (!world.works) throw new Error("no space");
        written.push(...records);
      },
    },
  });
  return Object.assign(world, {
    recorder,
    written,
    dropped: () => drops.all().reduce((sum, { reason, count }) => sum + (reason === "trace-overflow" ? count : 0), 0),
    pass: (ms: number) => {
      now += ms;
      recorder.tick();
    },
  });
}

function itemOf(seq: number, { flags, hops = 0 }: { readonly flags?: string; readonly hops?: number } = {}): Item {
  const user = { traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-${flags}` };
  const entry = entryOf("in/a", "1", { hops, ...(flags === undefined ? {} : { properties: { user } }) });
  const message = { ...entry, seq };
  const trace = findTrace(message, { gateway: "g", name: "f" }) ?? null;
  const item = {
    message,
    start: seq,
    trigger: 0,
    key: "a",
    keyBytes: Buffer.alloc(0),
    attempt: 1,
    resume: false,
    suspect: false,
    trial: "none",
  } as const;
  return { ...item, giveUp: "always", trace };
}

function noteOf(item: Item): TraceNote {
  const result = { status: "done", logs: [], effects: { state: [], events: [], publishes: [] } } as const;
  return new TraceNote(
    item,
    result,
    { function: "f", version: 1, outcome: "done" },
    { draft: emptyDraft(), mark: { events: 0, derived: 0 } },
  );
}

const times = (count: number, once: () => boolean): number => Array.from({ length: count }, once).filter((wanted) => wanted).length;

describe("what of messages is recorded", () => {
  it("is a few a second of those that are nothing special, and nobody counts the others", () => {
    const { recorder, pass, dropped } = made({ rateMax: 5, sampleMax: 10 });
    const wants = (): boolean => recorder.wants(itemOf(1), false, "f");
    expect(times(1_000, wants)).toBe(10);
    pass(500);
    expect(times(1_000, wants)).toBe(5);
    pass(60_000);
    expect(times(1_000, wants)).toBe(10);
    expect(dropped()).toBe(0);
  });

  it("is every failure and every message whose sender wants it, up to a rate; the others are counted", () => {
    const { recorder, pass, dropped } = made({ rateMax: 5, sampleMax: 0 });
    expect(times(8, () => recorder.wants(itemOf(1), true, "f"))).toBe(5);
    expect(times(8, () => recorder.wants(itemOf(1, { flags: "01" }), false, "f"))).toBe(5);
    expect(times(8, () => recorder.wants(itemOf(1, { flags: "00" }), false, "f"))).toBe(0);
    expect(dropped()).toBe(6);
    pass(200);
    expect(times(8, () => recorder.wants(itemOf(1), true, "f"))).toBe(1);
  });

  it("is what came of a recorded message, and of nothing else that functions caused", () => {
    const { recorder } = made({ rateMax: 100, sampleMax: 0 });
    const derived = entryOf("mid/a", "1", { hops: 1 });
    const draft = { ...emptyDraft(), derived: [derived] };
    const result = { status: "done", logs: [], effects: { state: [], events: [], publishes: [] } } as const;
    const note = new TraceNote(
      itemOf(7),
      result,
      { function: "f", version: 1, outcome: "done" },
      { draft, mark: { events: 0, derived: 0 } },
    );
    recorder.expect(note);
    recorder.arrived([
      { ...entryOf("mid/a", "1", { hops: 1 }), seq: 8 },
      { ...derived, seq: 9 },
    ]);
    expect(note.committed().derived).toEqual([9]);
    expect(recorder.wants(itemOf(9, { hops: 1 }), false, "second")).toBe(true);
    expect(recorder.wants(itemOf(8, { hops: 1 }), false, "second")).toBe(false);
  });
});

describe("records", () => {
  it("are written together, in their order, also those that come at the end", async () => {
    const { recorder, written } = made({ rateMax: 1, sampleMax: 1 });
    recorder.committed([noteOf(itemOf(1)), noteOf(itemOf(2))]);
    expect(written).toEqual([]);
    await recorder.flush();
    expect(written.map(({ seq }) => seq)).toEqual([1, 2]);
    recorder.add(noteOf(itemOf(3)).record, "f");
    await recorder.close();
    expect(written.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it("wait while the disk has no space to spare, and are counted when there are too many", async () => {
    const { recorder, written, dropped } = made({ rateMax: 1, sampleMax: 1 });
    recorder.hold(true);
    for (let seq = 0; seq < 1_034; seq++) recorder.add(noteOf(itemOf(seq)).record, "f");
    await recorder.flush();
    expect([written.length, dropped()]).toEqual([0, 10]);
    recorder.hold(false);
    await recorder.flush();
    expect(written).toHaveLength(1_024);
  });

  it("that the disk refuses are counted", async () => {
    const world = made({ rateMax: 1, sampleMax: 1 });
    world.works = false;
    world.recorder.add(noteOf(itemOf(1)).record, "f");
    await world.recorder.flush();
    expect([world.written.length, world.dropped()]).toEqual([0, 1]);
  });
});
