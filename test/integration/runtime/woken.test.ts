import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const SEES = "ctx.emit('seen', { type: event.type, subject: event.subject, source: event.source, data: event.data, ...event.cloudEvent });";

describe("an event of another function", () => {
  it("wakes those whose trigger names its type, with the attributes that it has in the cloud", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "alarming", handler: "ctx.emit('com.example.alarm', { v: event.data }, { subject: 'boiler/+1' });" }),
      functionOf({ name: "exact", triggers: [], also: [{ event: "com.example.alarm" }], emit: ["seen"], handler: SEES }),
      functionOf({ name: "prefix", triggers: [], also: [{ event: "com.example.*" }], handler: "ctx.emit('prefixed', event.id);" }),
      functionOf({ name: "other", triggers: [], also: [{ event: "com.example.alarms" }], handler: "ctx.emit('never', 1);" }),
    );
    await core.send("in/a", 7);
    await core.drained();
    const all = await core.events();
    const [alarm] = all.filter(({ type }) => type === "com.example.alarm");
    const seen = all.filter(({ type }) => type === "seen");
    expect(seen).toMatchObject([
      {
        subject: "boiler/+1",
        data: { id: alarm?.id, source: "/gateways/g/functions/alarming", type: "com.example.alarm", subject: "boiler/+1", data: { v: 7 } },
      },
    ]);
    expect(all.map(({ type }) => type).toSorted()).toEqual(["com.example.alarm", "prefixed", "seen"]);
  });

  it("is ordered, and keeps state, by its type and subject", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "source", handler: "ctx.emit('a', event.data, { subject: event.params.k });" }),
      functionOf({
        name: "count",
        triggers: [],
        also: [{ event: "a" }],
        emit: ["n"],
        handler: "const n = (await ctx.state.get('n') ?? 0) + 1; ctx.state.set('n', n); ctx.emit('n', [n, event.data]);",
      }),
    );
    for (const [key, data] of [["x", 1], ["y", 2], ["x", 3]] as const) await core.send(`in/${key}`, data); // oxfmt-ignore
    await core.drained();
    expect(await core.journal.loadState("count", "$millrace/event/a/x")).toEqual([{ name: "n", value: Buffer.from("2") }]);
    const counted = (await core.events("n")).map(({ subject, data }) => [subject, data]);
    expect(counted.filter(([subject]) => subject === "x")).toEqual([["x", [1, 1]], ["x", [2, 3]]]); // oxfmt-ignore
  });

  it("that comes back to its function is cut after so many hops", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        name: "echo",
        also: [{ event: "again" }],
        handler: "ctx.emit('again', (event.data ?? 0) + 1);",
        retry: { attempts: 1 },
      }),
    );
    await core.send("in/a", 0);
    await core.drained();
    expect((await core.events("again")).at(-1)?.data).toBe(16);
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_HOPS" }]);
  });

  it("waits for a function that is not there yet after a start", async () => {
    await using folder = await TempFolder.make();
    const listening = functionOf({
      name: "listening",
      triggers: [],
      also: [{ event: "a*" }],
      emit: ["heard"],
      handler: "ctx.emit('heard', event.data);",
    });
    const source = functionOf({ name: "source", handler: "ctx.emit('abc', event.data);" });
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(source, listening);
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(source);
    await core.send("in/a", 5);
    await core.drained();
    await core.deploy(listening);
    await core.drained();
    expect(await core.events("heard")).toMatchObject([{ data: 5 }]);
  });

  it("that was refused wakes nobody", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "source", handler: "ctx.emit('a', 1); throw new Error('no');", retry: { attempts: 2 } }),
      functionOf({
        name: "listening",
        triggers: [],
        also: [{ event: "*" }],
        emit: ["heard"],
        handler: "ctx.emit('heard', event.data);",
        retry: { attempts: 1 },
      }),
    );
    await core.send("in/a", 5);
    await core.drained();
    expect(await core.events()).toEqual([]);
    expect(core.stats("listening").handled).toBe(0);
  });
});

describe("a change of state", () => {
  it("wakes the function that keeps it, under the key that it was stored with", async () => {
    await using core = await Core.temporary();
    const handler = `
      if (event.type === 'mqtt') { ctx.state.set(event.data.name, event.data.value); return; }
      ctx.emit('changed', { ...event.data, subject: event.subject, value: await ctx.state.get(event.data.name) ?? null });
      if (event.data.name === 'limit/high' && !event.data.deleted) ctx.state.delete('limit/high');`;
    await core.deploy(functionOf({ name: "f", also: [{ state: "a*/limit*" }], concurrency: 4, handler }));
    await core.send("in/a1", { name: "limit/high", value: 5 });
    await core.send("in/a2", { name: "limit", value: 6 });
    await core.send("in/a2", { name: "other", value: 7 });
    await core.send("in/b", { name: "limit", value: 8 });
    await core.drained();
    const changed = (await core.events("changed")).map(({ data }) => JSON.stringify(data)).toSorted();
    expect(changed).toEqual(
      [
        { key: "a1", name: "limit/high", deleted: false, subject: "a1/limit/high", value: 5 },
        { key: "a1", name: "limit/high", deleted: true, subject: "a1/limit/high", value: null },
        { key: "a2", name: "limit", deleted: false, subject: "a2/limit", value: 6 },
      ]
        .map((data) => JSON.stringify(data))
        .toSorted(),
    );
  });

  it("of another function wakes nobody", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "f", handler: "ctx.state.set('n', event.data);" }),
      functionOf({ name: "g", triggers: [], also: [{ state: "*" }], handler: "ctx.emit('never', 1);" }),
    );
    await core.send("in/a", 1);
    await core.drained();
    expect(await core.events()).toEqual([]);
  });

  it("that causes itself again is cut after so many hops", async () => {
    await using core = await Core.temporary();
    const handler = "ctx.state.set('n', (await ctx.state.get('n') ?? 0) + 1);";
    await core.deploy(functionOf({ name: "f", also: [{ state: "n" }], handler, retry: { attempts: 1 } }));
    await core.send("in/a", 1);
    await core.drained();
    expect(await core.journal.loadState("f", "a")).toEqual([{ name: "n", value: Buffer.from("16") }]);
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_HOPS", topic: "$millrace/state/f/a/n" }]);
  });
});
