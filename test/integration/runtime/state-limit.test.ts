import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const LIMIT = 20_000;

/** Stores a text of `size` bytes under `name`. */
const storing = functionOf({
  limits: { stateBytes: LIMIT },
  concurrency: 2,
  handler: `
    if (event.data.size === 0) ctx.state.delete(event.data.name);
    else ctx.state.set(event.data.name, 'x'.repeat(event.data.size));
    ctx.emit('stored', event.data.n ?? 0, { subject: event.params.k });`,
});

describe("limits.state", () => {
  it("fails a message that would keep more, with nothing of it committed; other messages and functions go on", async () => {
    await using core = await Core.temporary();
    await core.deploy(storing, functionOf({ name: "g", handler: `ctx.state.set('n', event.data.n); ctx.emit('g', event.data.n);` }));
    for (let n = 0; n < 10; n++) await core.send(`in/k${n}`, { n, name: "v", size: 4_000 });
    await core.drained();
    expect(await core.journal.state.bytes("f")).toBeLessThanOrEqual(LIMIT);
    expect(core.stats("f")).toMatchObject({ handled: 4, deadLettered: 6 });
    const letters = await core.deadLetters();
    expect(letters.map(({ code, attempts }) => `${code} ${attempts}`)).toEqual(letters.map(() => "LIMIT_STATE 1"));
    expect((await core.events("stored")).length).toBe(4);
    expect(core.stats("g").handled).toBe(10);
    for (const { topic } of letters) expect(await core.journal.loadState("f", topic.slice(3))).toEqual([]);
  });

  it("counts what is overwritten and deleted exactly, however often", async () => {
    await using core = await Core.temporary();
    await core.deploy(storing);
    for (let n = 0; n < 100; n++) await core.send(`in/k${n % 2}`, { n, name: `v${n % 4}`, size: 4_000 + n });
    await core.send("in/a", { name: "v", size: 4_500 });
    await core.send("in/k0", { name: "v0", size: 0 });
    await core.drained();
    await core.send("in/b", { name: "v", size: 3_500 });
    await core.drained();
    expect(core.stats("f")).toMatchObject({ handled: 102, deadLettered: 1 });
    expect((await core.deadLetters()).map(({ topic }) => topic)).toEqual(["in/a"]);
  });

  it("knows after a restart what there is", async () => {
    await using folder = await TempFolder.make();
    for (const [k, deadLettered] of [
      ["a", 0],
      ["b", 0],
      ["c", 1],
    ] as const) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(storing);
      await core.send(`in/${k}`, { name: "v", size: 9_000 });
      await core.drained();
      expect(core.stats("f").deadLettered).toBe(deadLettered);
    }
  });
});
