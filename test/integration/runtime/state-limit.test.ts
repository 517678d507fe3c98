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

  it("refuses no value that takes the place of one of its size, however many lanes write near the limit", async () => {
    await using core = await Core.temporary({ hosts: 2 });
    const overwriting = functionOf({
      limits: { stateBytes: LIMIT },
      concurrency: 8,
      handler: `ctx.state.set('v' + event.data.n % 2, 'x'.repeat(600)); ctx.emit('stored', event.data.n, { subject: event.params.k });`,
    });
    await core.deploy(overwriting);
    const size = "k00".length + "v0".length + JSON.stringify("x".repeat(600)).length;
    const keys = Math.floor(LIMIT / size / 2);
    for (let round = 0; round < 40; round++) {
      await Promise.all(
        Array.from({ length: keys * 2 }, (_, i) => core.send(`in/k${10 + (i % keys)}`, { n: round * 2 + (i < keys ? 0 : 1) })),
      );
    }
    await core.drained();
    expect(await core.deadLetters()).toEqual([]);
    expect(core.stats("f")).toMatchObject({ handled: 40 * keys * 2, failed: 0 });
    expect(await core.journal.state.bytes("f")).toBe(keys * 2 * size);
  });

  it("lets exactly as many values in as there is room for, however many lanes want them at once", async () => {
    await using core = await Core.temporary({ hosts: 2 });
    await core.deploy(functionOf({ limits: { stateBytes: LIMIT }, concurrency: 8, handler: `ctx.state.set('v', 'x'.repeat(1_493));` }));
    await Promise.all(Array.from({ length: 64 }, (_, i) => core.send(`in/k${100 + i}`, {})));
    await core.drained();
    expect(core.stats("f")).toMatchObject({ handled: 13, deadLettered: 51 });
    expect(await core.journal.state.bytes("f")).toBe(13 * 1_500);
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
