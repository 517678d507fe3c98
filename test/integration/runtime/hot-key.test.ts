import { describe, expect, it, vi } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** A few messages of key `hot` need several attempts. */
const patient: FunctionPlan = {
  retry: { attempts: 100, minMs: 40, maxMs: 60 },
  handler: `
    if (event.params.k === 'hot' && event.attempt < 4 && event.data.n % 500 === 0) throw new Error('not yet');
    ctx.emit('seen', event.data.n, { subject: event.params.k });`,
};

const numbers = (count: number, step = 1, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i * step);

/** Every second message is of key `hot`. */
async function sendHalfHot(core: Core, count: number): Promise<void> {
  await Promise.all(numbers(count).map((n) => core.send(n % 2 === 0 ? "in/hot" : `in/k${n % 3}`, { n })));
}

async function cursorOf(core: Core, name = "f"): Promise<Cursor> {
  return (await core.journal.cursor(name)) ?? new Cursor(0);
}

describe("a key that waits for a retry and gets half of all messages", () => {
  it("does not stop the others, although many more messages come than the function may hold", async () => {
    await using core = await Core.temporary({ pendingMax: 64 });
    await core.deploy(
      functionOf({
        retry: { attempts: 2, minMs: 3_600_000, maxMs: 3_600_000 },
        handler: `if (event.params.k === 'hot') throw new Error('no'); ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    await sendHalfHot(core, 4_000);
    await eventually(() => expect(core.stats("f").handled).toBe(2_000));
    const seen = await core.bySubject();
    for (const k of [0, 1, 2]) expect(seen[`k${k}`]).toEqual(numbers(4_000).filter((n) => n % 2 === 1 && n % 3 === k));
    const cursor = await cursorOf(core);
    expect([...cursor.aside.keys.keys()]).toEqual(["hot"]);
    expect(cursor.gaps).toBeLessThanOrEqual(64);
    expect(cursor.encode().length).toBeLessThan(500);
    expect(core.runtime.floor).toBe(1); // What waits is kept.
    expect(core.stats("f").backlog).toBeGreaterThanOrEqual(2_000);
  });

  it.each([64, 8_192])("has its own in order, each once, when it goes on (%i in memory)", async (pendingMax) => {
    await using core = await Core.temporary({ pendingMax });
    await core.deploy(functionOf(patient));
    for (let round = 0; round < 4; round++) await sendHalfHot(core, 1_000);
    await core.drained();
    const seen = await core.bySubject();
    expect(seen["hot"]).toEqual(numbers(4).flatMap(() => numbers(500, 2)));
    expect(core.stats("f").handled).toBe(4_000);
    const cursor = await cursorOf(core);
    expect([cursor.aside.keys.size, cursor.gaps]).toEqual([0, 0]);
  });

  it("is taken up where it was, after any number of stops", async () => {
    await using folder = await TempFolder.make();
    for (let round = 0; round < 4; round++) {
      await using core = await Core.open({ folder: folder.path, pendingMax: 64 });
      await core.deploy(functionOf(patient));
      await sendHalfHot(core, 1_000);
      await vi.waitUntil(() => round % 2 === 1 || core.stats("f").retried > 0);
    }
    await using core = await Core.open({ folder: folder.path, pendingMax: 64 });
    await core.deploy(functionOf(patient));
    await core.drained();
    const seen = await core.bySubject();
    expect(seen["hot"]).toEqual(numbers(4).flatMap(() => numbers(500, 2)));
    expect((await core.events()).length).toBe(4_000);
  });

  it.each(["strict", "relaxed"] as const)("does not stop the others after a restart either, with order %s", async (order) => {
    await using folder = await TempFolder.make();
    const never = functionOf({
      order,
      retry: { attempts: 2, minMs: 3_600_000, maxMs: 3_600_000 },
      handler: `if (event.params.k === 'hot') throw new Error('no'); ctx.emit('seen', event.data.n, { subject: event.params.k });`,
    });
    for (let round = 0; round < 3; round++) {
      await using core = await Core.open({ folder: folder.path, pendingMax: 1_024 });
      await core.deploy(never);
      await sendHalfHot(core, 4_000);
      await eventually(() => expect(core.stats("f").handled).toBe(2_000));
    }
    const patiently = functionOf({ version: 2, order, handler: "ctx.emit('seen', event.data.n, { subject: event.params.k });" });
    await using core = await Core.open({ folder: folder.path, pendingMax: 1_024 });
    await core.deploy(patiently);
    await core.drained();
    expect((await core.events()).length).toBe(12_000);
    const hot = (await core.bySubject())["hot"]?.map(Number) ?? [];
    expect(hot.toSorted((x, y) => x - y)).toEqual(numbers(2_000, 2).flatMap((n) => [n, n, n]));
  });

  it("keeps its messages when the next version has another key", async () => {
    await using core = await Core.temporary({ pendingMax: 64 });
    const handler = `ctx.emit('seen', event.data.n, { subject: event.topic });`;
    const never = { attempts: 2, minMs: 3_600_000, maxMs: 3_600_000 };
    const failing = `if (event.params.k === 'hot') throw new Error('no'); ${handler}`;
    await core.deploy(functionOf({ retry: never, handler: failing }));
    await sendHalfHot(core, 1_000);
    await eventually(() => expect(core.stats("f").handled).toBe(500));
    expect((await cursorOf(core)).aside.keys.size).toBe(1);
    await core.deploy(functionOf({ version: 2, triggers: ["in/+k"], handler }));
    await core.drained();
    expect((await core.bySubject())["in/hot"]).toEqual(numbers(500, 2));
    expect((await core.events()).length).toBe(1_000);
  });
});

describe("a version that puts into one key what the one before had in several", () => {
  it("handles once what is done of them already, also when that stands behind a message that waits", async () => {
    await using core = await Core.temporary({ pendingMax: 64 });
    const handler = `ctx.emit('seen', event.data.n, { subject: event.topic });`;
    const never = { attempts: 2, minMs: 3_600_000, maxMs: 3_600_000 };
    const byDevice = { triggers: ["in/+site/+device"], key: "device" };
    await core.deploy(
      functionOf({ ...byDevice, retry: never, handler: `if (event.params.device === 'hot') throw new Error('no'); ${handler}` }),
    );
    await Promise.all(numbers(400).map((n) => core.send(`in/site/${n % 2 === 0 ? "hot" : "cool"}`, { n })));
    await eventually(() => expect(core.stats("f").handled).toBe(200));
    expect((await cursorOf(core)).aside.keys).toEqual(new Map([["hot", expect.any(Number)]]));
    const patience = { attempts: 100, minMs: 20, maxMs: 30 };
    const now = `if (event.data.n % 100 === 0 && event.attempt < 3) throw new Error('not yet'); ${handler}`;
    await core.deploy(functionOf({ version: 2, ...byDevice, key: "site", retry: patience, handler: now }));
    await Promise.all(numbers(100, 1, 400).map((n) => core.send("in/site/hot", { n })));
    await core.drained();
    expect((await core.bySubject())["in/site/hot"]).toEqual([...numbers(200, 2), ...numbers(100, 1, 400)]);
    expect((await core.bySubject())["in/site/cool"]).toEqual(numbers(200, 2, 1));
    const cursor = await cursorOf(core);
    expect([cursor.aside.keys.size, cursor.gaps]).toEqual([0, 0]);
  });
});

describe("with relaxed order", () => {
  it("a message that waits for its retry lets later ones of its key pass", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        order: "relaxed",
        retry: { attempts: 3, minMs: 50, maxMs: 50 },
        handler: `
          if (event.data.n === 0 && event.attempt < 3) throw new Error('not yet');
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    for (const n of numbers(10)) await core.send("in/a", { n });
    await core.drained();
    expect((await core.bySubject())["a"]).toEqual([...numbers(9, 1, 1), 0]);
  });

  it("a key that always fails leaves room for the others, and all of its messages come to their end", async () => {
    await using core = await Core.temporary({ pendingMax: 64 });
    await core.deploy(
      functionOf({
        order: "relaxed",
        concurrency: 2,
        retry: { attempts: 2, minMs: 5, maxMs: 10 },
        handler: `
          if (event.params.k === 'hot' && event.data.n % 4 === 0) throw new Error('no');
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    await sendHalfHot(core, 2_000);
    await core.drained();
    const seen = (await core.events()).map(({ data }) => Number(data)).toSorted((a, b) => a - b);
    expect(seen).toEqual(numbers(2_000).filter((n) => n % 4 !== 0));
    expect((await core.deadLetters()).length).toBe(500);
    expect(core.stats("f")).toMatchObject({ handled: 1_500, failed: 1_000, retried: 500, deadLettered: 500 });
  });
});
