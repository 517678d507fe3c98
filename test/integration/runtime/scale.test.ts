import { expect, it, vi } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const COUNT_HANDLER =
  "const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); ctx.emit('seen', n, { subject: event.topic });";
const COUNT = { handler: "const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); ctx.emit('seen', [event.data, n]);" };

it("a function without messages has no isolate after a while, and one as soon as there is a message; its state stays", async () => {
  await using core = await Core.temporary();
  await core.deploy(functionOf({ ...COUNT, idleMs: 50 }));
  expect(core.stats("f").starts.count).toBe(1);
  for (let n = 1; n <= 3; n++) {
    await vi.waitUntil(() => core.stats("f").instances === 0);
    await core.send("in/a", n);
    await core.drained();
    expect(core.stats("f").starts.count).toBe(1 + n);
  }
  expect((await core.events("seen")).map(({ data }) => data)).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

it("as many isolates as are to be kept warm are there at once, and stay", async () => {
  await using core = await Core.temporary();
  await core.deploy(functionOf({ ...COUNT, concurrency: 4, warm: 2, idleMs: 1 }));
  expect(core.stats("f").instances).toBe(2);
  for (let n = 0; n < 32; n++) await core.send(`in/${n}`, n);
  await core.drained();
  await vi.waitUntil(() => core.stats("f").instances === 2);
  expect(core.stats("f").handled).toBe(32);
});

it("a backlog brings more isolates, up to `concurrency`, and they go when there is little to do; keys stay in order, with their state", async () => {
  await using core = await Core.temporary();
  const waits = "await new Promise((go) => setTimeout(go, event.data.ms));";
  await core.deploy(functionOf({ handler: waits + COUNT_HANDLER, concurrency: 4, idleMs: 200, limits: { cpuMs: 100 } }));
  const keys = Array.from({ length: 16 }, (_, n) => `in/${n}`);
  await core.send("in/0", { ms: 0 });
  await core.drained();
  expect(core.stats("f").instances).toBe(1);
  for (let n = 0; n < 10; n++) await Promise.all(keys.map((key) => core.send(key, { ms: 20, n })));
  await vi.waitUntil(() => core.stats("f").instances === 4, 10_000);
  await vi.waitUntil(async () => {
    for (const key of keys) await core.send(key, { ms: 0 });
    await core.drained();
    return core.stats("f").instances === 1;
  }, 20_000);
  for (const key of keys) {
    const counts = (await core.events("seen")).filter(({ subject }) => subject === key).map(({ data }) => data);
    expect(counts.length).toBeGreaterThan(10);
    expect(counts).toEqual(Array.from({ length: counts.length }, (_, n) => n + 1));
  }
});

it("a version that does not load does not take over from one that has no isolate", async () => {
  await using core = await Core.temporary();
  await core.deploy(functionOf({ ...COUNT, idleMs: 1 }));
  await vi.waitUntil(() => core.stats("f").instances === 0);
  const broken = functionOf({ version: 2, prelude: "throw new Error('no');", handler: "" });
  await expect(core.runtime.deploy(broken.target, broken.bundle)).rejects.toMatchObject({ code: "FUNCTION_LOAD_FAILED" });
  await core.send("in/a", 1);
  await core.drained();
  expect(core.stats("f")).toMatchObject({ version: 1, handled: 1 });
});

it("after a start of the gateway functions have no isolates until there is something to do", async () => {
  await using folder = await TempFolder.make();
  const functions = Array.from({ length: 20 }, (_, n) => functionOf({ name: `f${n}`, triggers: [`${n}/+k`], ...COUNT }));
  const warm = functionOf({ name: "warm", triggers: ["warm"], warm: 1, ...COUNT });
  {
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(...functions, warm);
    await core.send("7/a", 1);
    await core.drained();
  }
  await using core = await Core.open({ folder: folder.path });
  await core.deploy(...functions, warm);
  expect(core.runtime.stats().functions.map(({ instances }) => instances)).toEqual([...Array<number>(20).fill(0), 1]);
  await core.send("7/a", 2);
  await core.drained();
  expect(core.runtime.stats().functions.reduce((sum, { starts }) => sum + starts.count, 0)).toBe(2);
  expect((await core.events("seen")).map(({ data }) => data)).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

it("more functions than fit into a host all handle their messages, and the host is not killed; those unused for longest go first", async () => {
  await using folder = await TempFolder.make();
  await using core = await Core.open({ folder: folder.path, hostMemoryMax: 192 * 2 ** 20 });
  const functions = Array.from({ length: 160 }, (_, n) => functionOf({ name: `f${n}`, triggers: [`in/${n}`], ...COUNT }));
  await core.deploy(...functions);
  for (let round = 0; round < 2; round++) {
    await Promise.all(functions.map((_, n) => core.send(`in/${n}`, n)));
    await core.drained();
  }
  const { functions: stats, hostRestarts, isolatesEvicted } = core.runtime.stats();
  expect(stats.every(({ handled }) => handled === 2)).toBe(true);
  expect(hostRestarts).toBe(0);
  const isolates = stats.reduce((sum, { instances }) => sum + instances, 0);
  expect(isolates).toBeGreaterThanOrEqual(16);
  expect(isolates).toBeLessThan(160);
  // Whoever was handled and has none any more has made room.
  expect(isolatesEvicted).toBeGreaterThanOrEqual(160 - isolates);
  expect(await core.events("seen")).toHaveLength(320);
}, 60_000);
