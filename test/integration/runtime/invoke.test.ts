import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/core/message.ts";
import { invokeOnce } from "../../../src/runtime/invoke.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

function message(topic: string, text: string): Message {
  return { topic, payload: Buffer.from(text), qos: 1, retain: false, time: 5_000, source: "test", hops: 0 };
}

const { bundle, target } = functionOf({
  handler: `
    ctx.log.info('got', event.data);
    const n = await ctx.state.get('n') ?? 0;
    ctx.state.set('n', n + event.data);
    ctx.state.delete('old');
    ctx.publish('out/' + event.params.k, { n }, { retain: true, qos: 0 });
    ctx.emit('sum', n + event.data);
    if (event.data < 0) throw new RangeError('negative');`,
});

describe("invoking once", () => {
  it("shows what the message would bring about", async () => {
    expect(await invokeOnce(bundle, message("in/a", "3"))).toEqual({
      ok: true,
      state: [
        { key: "a", name: "n", value: 3 },
        { key: "a", name: "old", value: null },
      ],
      publishes: [{ topic: "out/a", payload: '{"n":0}', qos: 0, retain: true }],
      events: [{ type: "sum", subject: "in/a", data: 3 }],
      logs: [{ level: "info", message: "got 3" }],
      durationMs: expect.any(Number) as number,
    });
  });

  it("shows the error of a handler that throws, and its log", async () => {
    const result = await invokeOnce(bundle, message("in/a", "-1"));
    expect(result).toMatchObject({
      ok: false,
      error: { code: "FUNCTION_THREW", message: "negative" },
      state: [],
      publishes: [],
      events: [],
    });
    expect(result.logs).toEqual([{ level: "info", message: "got -1" }]);
    expect(result.error?.stack).toContain("f.js");
  });

  it("says so when no trigger matches, and what the function listens to", async () => {
    await expect(invokeOnce(bundle, message("other/a", "1"))).rejects.toMatchObject({
      code: "REQUEST_INVALID",
      message: expect.stringContaining("in/+k") as string,
    });
  });

  it.each([
    ["LIMIT_CPU", "for (;;);"],
    ["LIMIT_WALL", "await new Promise(() => undefined)"],
    ["HOST_CRASHED", "'x'.repeat(2 ** 29 - 24).split('')"],
  ])("ends with %s when the handler does", async (code, handler) => {
    const { bundle: bad } = functionOf({
      limits: { cpuMs: code === "LIMIT_CPU" ? 50 : 2_000, wallMs: 3_000, ...(code === "LIMIT_WALL" ? { wallMs: 100 } : {}) },
      handler,
    });
    expect(await invokeOnce(bad, message("in/a", "1"))).toMatchObject({ ok: false, error: { code } });
  });

  it("on a gateway sees the state there and changes nothing", async () => {
    await using core = await Core.temporary();
    await core.deploy({ bundle, target });
    await core.send("in/a", 5);
    await core.drained();
    expect(await core.runtime.invoke("f", message("in/a", "3"))).toMatchObject({ ok: true, events: [{ data: 8 }] });
    await expect(core.runtime.invoke("g", message("in/a", "3"))).rejects.toMatchObject({ code: "FUNCTION_UNKNOWN" });
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([5]);
    expect(await core.journal.loadState("f", "a")).toEqual([{ name: "n", value: Buffer.from("5") }]);
  });
});
