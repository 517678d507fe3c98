import { describe, expect, it } from "vitest";
import type { EventsPage } from "../../../src/core/control-api.ts";
import { parseTraceparent, spanId } from "../../../src/core/trace-context.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Core } from "../../support/core.ts";
import { Site } from "../../support/site.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${TRACE}-00f067aa0ba902b7-01`;
const tracestate = "rojo=00f067aa0ba902b7";

const first = functionOf({
  name: "first",
  handler: `ctx.publish('mid/' + event.params.k, event.data); ctx.emit('first', event.trace ?? null);`,
});
const second = functionOf({ name: "second", triggers: ["mid/+k"], handler: `ctx.emit('second', event.trace ?? null);` });

describe("a message with a trace", () => {
  it("hands it on to events, subscribers (with MQTT 5) and the functions that what comes of it wakes", async () => {
    await using site = await Site.open(first, second);
    const received: unknown[] = [];
    const client = await site.client({ protocolVersion: 5, clientId: "reader" });
    client.on("message", (_topic, _payload, { properties }) => received.push({ ...properties?.userProperties }));
    const old = await site.client({ protocolVersion: 4, clientId: "old" });
    old.on("message", (topic, payload, { properties }) => received.push([topic, payload.toString(), properties]));
    await Promise.all([client, old].map((each) => each.subscribeAsync("mid/#", { qos: 1 })));
    await site.send("in/a", "1", { properties: { userProperties: { traceparent, tracestate, site: "milan" } } });
    const events = await eventually(async () => {
      const page = (await (await fetch(`${site.control}/v1/events?order=asc`)).json()) as EventsPage;
      expect(page.events).toHaveLength(2);
      return page.events;
    });
    const [seq, derived] = events.map(({ id }) => Number(id.split(":")[1]));
    const spans = [spanId("g", seq ?? 0, "first"), spanId("g", derived ?? 0, "second")];
    const said = spans.map((span) => ({ traceparent: `00-${TRACE}-${span}-01`, tracestate }));
    expect(events).toMatchObject([
      { type: "first", ...said[0], data: said[0] },
      { type: "second", ...said[1], data: said[1] },
    ]);
    await eventually(() => expect(received).toHaveLength(2));
    expect(received).toEqual(expect.arrayContaining([said[0], ["mid/a", "1", undefined]]));
  });

  it("is handled with the same ids when it is handled again", async () => {
    await using folder = await TempFolder.make();
    const failing = functionOf({
      retry: { attempts: 9 },
      handler: `if (event.attempt < 3) throw new Error(event.trace.traceparent); ctx.emit('done', event.trace);`,
    });
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(failing);
    await core.send("in/a", 1, { properties: { user: { traceparent } } });
    await core.drained();
    const [event] = await core.events();
    const expected = `00-${TRACE}-${spanId("g", 1, "f")}-01`;
    expect(event?.data).toEqual({ traceparent: expected });
    const errors = core.runtime.logs.query({ level: "warn", limit: 10 }).records.map(({ message }) => message);
    expect(errors).toHaveLength(2);
    for (const error of errors) expect(error).toContain(expected);
  });

  it.each([
    ["none", undefined],
    ["one that is to be ignored", { user: { traceparent: `00-${"0".repeat(32)}-00f067aa0ba902b7-01` } }],
    ["other properties", { contentType: "application/json", user: { "traceparent ": traceparent } }],
  ])("has none made up for it when it names %s", async (_, properties) => {
    await using core = await Core.temporary();
    await core.deploy(first);
    await core.send("in/a", 1, properties === undefined ? {} : { properties });
    await core.drained();
    const [row] = await core.journal.outbox.read(0, 10);
    expect(row?.event.data).toBe("null");
    expect(Object.keys(row?.event ?? {})).not.toContain("traceparent");
    expect(parseTraceparent(traceparent)).toBeDefined();
  });

  it("may be rehearsed: the function sees the trace", async () => {
    await using core = await Core.temporary();
    await core.deploy(second);
    const message = { topic: "mid/a", payload: Buffer.from("1"), qos: 1, retain: false, time: 1, source: "s", hops: 0 } as const;
    const result = await core.runtime.invoke("second", { ...message, properties: { user: { traceparent } } });
    expect(result.events).toEqual([
      { type: "second", subject: "mid/a", data: { traceparent: `00-${TRACE}-${spanId("g", 0, "second")}-01` } },
    ]);
  });
});
