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
