import { describe, expect, it } from "vitest";
import { invokeOnce } from "../../../src/runtime/invoke.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

const HANDLER = `const n = (await ctx.state.get('n') ?? 0) + 1; ctx.state.set('n', n); ctx.emit('n', n, { subject: String(event.data.id) });`;

function messageOf(text: string): Parameters<typeof invokeOnce>[1] {
  return { topic: "in/a", payload: Buffer.from(text), qos: 1, retain: false, time: 5_000, source: "test", hops: 0 };
}

describe("a key that stands in the payload", () => {
  it("orders the work and scopes the state, over topics", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ key: "data.id", concurrency: 4, handler: HANDLER }));
    await Promise.all(Array.from({ length: 60 }, (_, n) => core.send(`in/${n % 7}`, { id: n % 3 })));
    await core.drained();
    const expected = Array.from({ length: 20 }, (_, n) => n + 1);
    expect(await core.bySubject()).toEqual({ 0: expected, 1: expected, 2: expected });
    expect((await core.journal.loadState("f", "2")).map(({ value }) => value.toString())).toEqual(["20"]);
  });

  it("and is missing sends a message to the dead letters at once, untried, and holds up nobody", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ key: "data.id", onFailure: { emit: "failed" }, handler: HANDLER }));
    await core.send("in/a", { id: "x" });
    await core.send("in/a", { ID: "x" });
    await core.send("in/a", "no JSON");
    await core.send("in/a", { id: "x" });
    await core.drained();
    expect((await core.events("n")).map(({ data }) => data)).toEqual([1, 2]);
    expect(await core.deadLetters()).toMatchObject([
      { code: "KEY_MISSING", seq: 2, attempts: 1, error: "the payload has nothing under data.id" },
      { code: "KEY_MISSING", seq: 3, error: "the payload is no JSON" },
    ]);
    expect((await core.events("failed")).map(({ data }) => data)).toMatchObject([
      { code: "KEY_MISSING" },
      { code: "KEY_MISSING", key: "" },
    ]);
    expect(core.stats("f")).toMatchObject({ handled: 2, deadLettered: 2, backlog: 0 });
  });

  it("and is missing tells others of it in the trace of the message", async () => {
    await using core = await Core.temporary({ traces: { rateMax: 100, sampleMax: 100 } });
    await core.deploy(
      functionOf({ key: "data.id", onFailure: { emit: "failed", publish: "errors" }, handler: HANDLER }),
      functionOf({ name: "told", triggers: ["errors"], handler: "ctx.emit('told', event.trace?.traceparent);" }),
    );
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const properties = { user: { traceparent: `00-${trace}-b7ad6b7169203331-01` } };
    await core.send("in/a", {}, { properties });
    await core.drained();
    const [told] = await core.events("told");
    expect(told?.data).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
    const failed = (await core.journal.outbox.read(0, 10)).find(({ event }) => event.type === "failed");
    expect(failed?.event.traceparent).toMatch(new RegExp(`^00-${trace}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
    expect(await core.deadLetters()).toMatchObject([{ code: "KEY_MISSING", trace }]);
    await core.traces?.flush();
    expect(await core.journal.traces.ofTrace(trace, 10)).toEqual([1, 2]);
  });

  it("says how far the function is with a message, key by key", async () => {
    await using core = await Core.temporary();
    const handler = "if (event.data.id === 'stuck') throw new Error('not yet');";
    await core.deploy(functionOf({ key: "data.id", handler, retry: { attempts: 100, minMs: 60_000, maxMs: 60_000 } }));
    for (const data of [{ id: "stuck" }, { id: "x" }, {}, { id: "stuck" }]) await core.send("in/a", data);
    await eventually(() => expect(core.stats("f")).toMatchObject({ handled: 1, retried: 1, deadLettered: 1 }));
    const messages = await core.journal.read(1, 10);
    const progress = messages.map((message) => core.runtime.progress(message).map((each) => each.progress));
    expect(progress).toEqual([["waiting"], ["passed"], ["passed"], ["waiting"]]);
  });

  it("and is missing waits while there is no room for dead letters, and holds up nobody then either", async () => {
    await using core = await Core.temporary({ journal: { deadLettersBytesMax: 1 } });
    await core.deploy(functionOf({ key: "data.id", handler: HANDLER }));
    for (let n = 0; n < 40; n++) await core.send("in/a", n % 2 === 0 ? {} : { id: "x" });
    await eventually(async () => expect(await core.events("n")).toHaveLength(20));
    expect((await core.deadLetters()).length).toBeLessThan(20);
    let letters = 0;
    await eventually(async () => {
      letters += await core.journal.clearDeadLetters(undefined);
      expect(letters).toBe(20);
    });
    await core.drained();
    expect(await core.events("n")).toHaveLength(20);
  });

  it("goes on in another version that has its key elsewhere", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        key: "data.id",
        handler: `if (event.data.id === 'x') throw new Error('wait');`,
        retry: { attempts: 100, minMs: 60_000, maxMs: 60_000 },
      }),
    );
    for (let n = 0; n < 40; n++) await core.send("in/a", { id: "x" });
    await core.send("in/b", { id: "y" });
    await eventually(() => expect(core.stats("f").handled).toBe(1));
    await core.deploy(functionOf({ version: 2, key: "k", triggers: ["in/+k"], handler: "ctx.emit('n', 1, { subject: event.params.k });" }));
    await core.drained();
    expect(await core.bySubject()).toEqual({ a: Array.from({ length: 40 }, () => 1) });
  });

  it("is the key of a message that is only tried out, and missing there too", async () => {
    const { bundle } = functionOf({ key: "data.id", handler: "ctx.state.set('n', 1);" });
    expect(await invokeOnce(bundle, messageOf('{"id":true}'))).toMatchObject({ ok: true, state: [{ key: "true" }] });
    expect(await invokeOnce(bundle, messageOf("{}"))).toMatchObject({ ok: false, error: { code: "KEY_MISSING" } });
  });
});
