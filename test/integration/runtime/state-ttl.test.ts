import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const LIMIT = 20_000;

/** Keeps a text for as long as it is told, after it has said what it kept before. */
const keeping = functionOf({
  limits: { stateBytes: LIMIT, stateValueBytes: 16_000 },
  handler: `
    const { size, ttl, fails } = event.data;
    const before = await ctx.state.get('v');
    ctx.emit('before', [event.attempt, before?.length ?? 0, [...(await ctx.state.list()).keys()]]);
    if (size > 0) ctx.state.set('v', 'x'.repeat(size), { ttl });
    if (fails >= event.attempt) throw new Error('told to');`,
});

describe("a ttl", () => {
  it("is measured by the time of messages, also after a restart; what stays and what is set anew is not affected", async () => {
    await using folder = await TempFolder.make();
    const from = Date.now();
    for (const [size, times] of [
      [10, [0, 59_999]],
      [0, [119_998, 119_999]],
    ] as const) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(keeping);
      for (const at of times) await core.send("in/a", { size, ttl: "1m" }, { time: from + at });
      await core.drained();
    }
    await using core = await Core.open({ folder: folder.path });
    expect((await core.events("before")).map(({ data }) => data)).toEqual([
      [1, 0, []],
      [1, 10, ["v"]],
      [1, 10, ["v"]],
      [1, 0, []],
    ]);
  });

  it("ends with the value gone from the disk and from the account, also of keys that get no message any more", async () => {
    await using core = await Core.temporary();
    await core.deploy(keeping);
    for (let n = 0; n < 4; n++) await core.send(`in/k${n}`, { size: 4_500, ttl: 1 });
    await core.drained();
    await eventually(async () => expect(await core.journal.state.bytes("f")).toBe(0));
    for (let n = 4; n < 8; n++) await core.send(`in/k${n}`, { size: 4_500 });
    await core.send("in/k8", { size: 4_500 });
    await core.drained();
    expect(core.stats("f")).toMatchObject({ handled: 8, deadLettered: 1 });
    const [letter] = await core.deadLetters();
    expect(letter).toMatchObject({ code: "LIMIT_STATE", topic: "in/k8" });
    expect(letter?.error).toMatch(/function "f", key "k8".*limits\.state.*raise the limit/);
  });

  it("takes away values of a function that is not deployed any more", async () => {
    await using core = await Core.temporary();
    await core.deploy(keeping);
    await core.send("in/a", { size: 10, ttl: 1_500 });
    await core.drained();
    await core.runtime.remove("f");
    expect(await core.journal.loadState("f", "a")).toHaveLength(1);
    await eventually(async () => expect(await core.journal.loadState("f", "a")).toEqual([]));
  });

  it("takes nothing away that a message found which will be handled again", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ name: "g", handler: "ctx.state.set('v', 1, { ttl: 1 });" }), keeping);
    const past = Date.now() - 600_000;
    await core.send("in/a", { size: 10, ttl: 1_000 }, { time: past });
    await core.send("in/a", { size: 0, fails: 2 }, { time: past + 999 });
    await eventually(async () => expect(await core.journal.loadState("g", "a")).toEqual([]));
    await core.drained();
    expect((await core.events("before")).map(({ data }) => data)).toEqual([
      [1, 0, []],
      [3, 10, ["v"]],
    ]);
  });
});
