import { encode } from "cbor-x";
import { describe, expect, it } from "vitest";
import type { OutboxEvent } from "../../../src/core/event.ts";
import { encodeLink } from "../../../src/core/link.ts";
import { readBatch } from "../../../src/control/batch.ts";

const event = (changes: Partial<OutboxEvent> = {}): OutboxEvent => ({
  id: "gw:1:f:0",
  function: "f",
  version: 1,
  type: "measurement",
  subject: "sensors/1",
  time: 1_700_000_000_000,
  data: '{"v":1}',
  ...changes,
});

const read = (...events: OutboxEvent[]): ReturnType<typeof readBatch> => readBatch("gw", encodeLink({ batch: 7, events }));

describe("reading a batch of events", () => {
  it("makes one row of each event, with its data as it is", () => {
    const batch = read(event(), event({ id: "gw:2:f:0", subject: 'a"b', data: "[1, 2]" }));
    expect(batch).toMatchObject({ gateway: "gw", batch: 7, rejected: 0 });
    expect(batch?.rows).toEqual([
      { seq: 1, index: 0, event: event() },
      { seq: 2, index: 0, event: event({ id: "gw:2:f:0", subject: 'a"b', data: "[1, 2]" }) },
    ]);
  });

  it("keeps the trace of an event, and leaves out one that is none rather than the event", () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const batch = read(
      event({ traceparent, tracestate: "a=1" }),
      event({ id: "gw:2:f:0", traceparent: "00-no", tracestate: "x".repeat(513) }),
    );
    expect(batch?.rejected).toBe(0);
    expect(batch?.rows.map((row) => row.event)).toEqual([event({ traceparent, tracestate: "a=1" }), event({ id: "gw:2:f:0" })]);
  });

  it.each<[string, Partial<OutboxEvent>]>([
    ["another gateway's id", { id: "other:1:f:0" }],
    ["an id that only begins like this gateway's", { id: "gw2:1:f:0" }],
    ["an id with an endless number", { id: `gw:${"1".repeat(600)}:f:0` }],
    ["an id with a number that is written in another way", { id: "gw:01:f:0" }],
    ["an id of another function", { id: "gw:1:g:0" }],
    ["an id without numbers", { id: "gw:f" }],
    ["data that is no JSON", { data: "{" }],
    ["data that would break out of its row", { data: '1},{"i":"gw:9:f:0"' }],
    ["a NUL in the data", { data: String.raw`{"a":["\u0000"]}` }],
    ["a NUL in a key of the data", { data: String.raw`{"\u0000":1}` }],
    ["a NUL in an attribute", { subject: "a\0b" }],
    ["data nested so deep that it would end the engine", { data: "[".repeat(5_000) + "]".repeat(5_000) }],
    ["a version that no integer column holds", { version: 2 ** 31 }],
    ["a time that has no date", { time: -1 }],
    ["a time after the year 9999", { time: 9e15 }],
  ])("rejects %s and keeps its neighbours", (_, changes) => {
    const batch = read(event(), event(changes), event({ id: "gw:3:f:0" }));
    expect(batch).toMatchObject({ rejected: 1, reason: expect.any(String) });
    expect(batch?.rows).toHaveLength(2);
  });

  it.each<[string, string]>([
    ["an escaped backslash before u0000", String.raw`{"a":"\\u0000"}`],
    ["many brackets in a string", JSON.stringify("[".repeat(5_000))],
    ["a wide array of arrays", JSON.stringify(Array.from({ length: 5_000 }, () => []))],
  ])("takes %s, which only looks like one", (_, data) => {
    expect(read(event({ data }))).toMatchObject({ rejected: 0 });
  });

  it("rejects a malformed event alone, and a batch only when it has no number", () => {
    const { data: _, ...half } = event();
    expect(readBatch("gw", encode({ batch: 3, events: [event(), half, "nothing"] }))).toMatchObject({ batch: 3, rejected: 2 });
    expect(readBatch("gw", encode({ events: [event()] }))).toBeUndefined();
    expect(readBatch("gw", Buffer.from("rubbish"))).toBeUndefined();
  });
});
