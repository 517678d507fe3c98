import { defineFunction, type ScheduleTick } from "millrace";
import { testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";

describe("ticks", () => {
  const manifest =
    "name: nightly\napi: 1\ntriggers:\n  - mqtt: a/+k\n  - schedule: every 10s\n  - {schedule: 0 3 * * *, name: report}\nkey: k\n";
  const definition = defineFunction<ScheduleTick>({
    handler(event, ctx) {
      ctx.state.set("due", event.data.due);
      ctx.emit(event.type, { name: event.data.name, missed: event.data.missed, now: ctx.now() });
    },
  });

  it("wake the handler as a schedule does, under the key of the schedule", async () => {
    const tested = testFunction(definition, { manifest });
    const { events } = await tested.tick({ name: "report", due: 1_000, missed: 2 });
    expect(events).toEqual([{ type: "schedule", subject: "report", time: 1_000, data: { name: "report", missed: 2, now: 1_000 } }]);
    expect(tested.state("$millrace/schedule/nightly/report")).toEqual({ due: "1970-01-01T00:00:01.000Z" });
    expect((await tested.tick()).events).toMatchObject([{ subject: "default", data: { missed: 0 } }]);
  });

  it("are refused when there is no such schedule", async () => {
    await expect(testFunction(definition, { manifest }).tick({ name: "other" })).rejects.toThrow('no schedule with the name "other"');
  });
});

describe("what functions of the gateway do", () => {
  const manifest = "name: f\napi: 1\ntriggers:\n  - event: com.example.*\n  - state: limits/high\n";
  const definition = defineFunction({
    async handler(event, ctx) {
      if (event.type === "state") ctx.emit("limit", (await ctx.state.get<number>("high")) ?? 0);
      else ctx.emit("seen", { ...event.cloudEvent, data: event.data });
    },
  });

  it("wakes the handler as an emitted event does", async () => {
    const tested = testFunction(definition, { manifest });
    const { events } = await tested.emitted({ type: "com.example.alarm", data: "hot", subject: "boiler/1", from: "watch" });
    const data = {
      id: "test:0:watch:0",
      source: "/gateways/test/functions/watch",
      type: "com.example.alarm",
      subject: "boiler/1",
      data: "hot",
    };
    expect(events).toMatchObject([{ type: "seen", subject: "boiler/1", data }]);
    await expect(tested.emitted({ type: "other", data: 1 })).rejects.toThrow("no trigger");
  });

  it("wakes the handler as a change of its state does, under the key of the value", async () => {
    const tested = testFunction(definition, { manifest, state: { limits: { high: 80 } } });
    const { events } = await tested.changed({ key: "limits", name: "high" });
    expect(events).toMatchObject([{ type: "limit", subject: "limits/high", data: 80 }]);
    await expect(tested.changed({ key: "limits", name: "low" })).rejects.toThrow("no trigger");
  });
});

describe("requests", () => {
  const manifest = "name: f\napi: 1\ntriggers:\n  - http: GET,POST /device/:id\n  - {http: POST /later, answer: accepted}\n";
  const definition = defineFunction({
    handler(event, ctx) {
      ctx.state.set("path", event.http?.path ?? "");
      if (event.http?.query["bad"] !== undefined) return { status: 99 };
      return {
        status: 201,
        headers: { "X-A": "1" },
        body: { id: event.params["id"] ?? "", data: event.data ?? null, subject: event.subject },
      };
    },
  });

  it("are answered as on a gateway", async () => {
    const tested = testFunction(definition, { manifest });
    const { answer } = await tested.request({ method: "POST", path: "/device/a%2Fb?x=1", body: { v: 1 } });
    expect(answer).toEqual({
      status: 201,
      headers: { "x-a": "1", "content-type": "application/json" },
      body: '{"id":"a/b","data":{"v":1},"subject":"/device/a/b"}',
    });
    expect((await tested.request({ method: "POST", path: "/later" })).answer.status).toBe(202);
    await expect(tested.request({ path: "/device/a?bad" })).rejects.toThrow("the status of an answer is a whole number");
    await expect(tested.request({ method: "PUT", path: "/device/a" })).rejects.toThrow("no trigger");
  });
});
