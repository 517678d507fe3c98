import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** The numbers that a function emitted, batch by batch. */
async function batchesOf(core: Core): Promise<number[][]> {
  return (await core.events("batch")).map(({ data }) => data as number[]);
}

const LIST = "ctx.emit('batch', events.map((event) => event.data));";

describe("a function with a batch", () => {
  it("gets what comes within its window at once, no more than its size, each message once and in the order of its key", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ batch: LIST, window: { size: 10, windowMs: 50 } }));
    await Promise.all(Array.from({ length: 25 }, (_, n) => core.send(`in/${n % 3}`, n)));
    await core.drained();
    const batches = await batchesOf(core);
    expect(batches.flat()).toEqual(Array.from({ length: 25 }, (_, n) => n));
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(10);
    expect(batches.length).toBeLessThan(25);
    expect(core.stats("f")).toMatchObject({ handled: 25, failed: 0 });
  });

  it("waits no longer than its window for messages that do not come", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ batch: LIST, window: { size: 100, windowMs: 20 } }));
    await core.send("in/a", 1);
    await eventually(async () => expect(await batchesOf(core)).toEqual([[1]]));
  });

  it("hands over a full batch without waiting for the window", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ batch: LIST, window: { size: 4, windowMs: 60_000 } }));
    await Promise.all(Array.from({ length: 4 }, (_, n) => core.send("in/a", n)));
    await eventually(async () => expect(await batchesOf(core)).toEqual([[0, 1, 2, 3]]));
  });

  it("commits what it wants for all with the position of all", async () => {
    await using folder = await TempFolder.make();
    const plan = functionOf({
      window: { size: 5, windowMs: 10 },
      batch: `for (const event of events) { const { state } = ctx.of(event); state.set('n', (await state.get('n') ?? 0) + 1); }
        ctx.emit('sum', events.length); ctx.publish('out', events.length);`,
    });
    let seen = 0;
    for (let start = 0; start < 3; start++) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(plan);
      await Promise.all(Array.from({ length: 20 }, () => core.send("in/a", 1)));
      await core.drained();
      seen += 20;
      const events = await core.events("sum");
      expect(events.reduce((sum, { data }) => sum + (data as number), 0)).toBe(seen);
      expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
      expect((await core.journal.loadState("f", "a")).map(({ value }) => value.toString())).toEqual([String(seen)]);
    }
  });

  it("that cannot get through with one message gives up that one alone", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        batch: `if (events.some((event) => event.data === 7)) throw new Error('seven'); ${LIST}`,
        window: { size: 20, windowMs: 30 },
        retry: { attempts: 2 },
      }),
    );
    await Promise.all(Array.from({ length: 15 }, (_, n) => core.send(`in/${n % 2}`, n)));
    await core.drained();
    expect((await batchesOf(core)).flat().toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 15 }, (_, n) => n).filter((n) => n !== 7),
    );
    // Those of its key have waited for it.
    const order = (await batchesOf(core)).flat().filter((n) => n % 2 === 1);
    expect(order).toEqual([1, 3, 5, 9, 11, 13]);
    expect(await core.deadLetters()).toMatchObject([{ code: "FUNCTION_THREW", error: "seven", attempts: 2, topic: "in/1" }]);
  });

  it.each([
    ["computes without end", "for (;;);", "LIMIT_CPU"],
    ["never ends", "await new Promise(() => undefined);", "LIMIT_WALL"],
  ])("that %s with one message gives up that one alone", async (_what, body, code) => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        batch: `if (events.some((event) => event.data === 3)) { ${body} } ${LIST}`,
        window: { size: 20, windowMs: 30 },
        limits: { cpuMs: 100, wallMs: 300 },
        retry: { attempts: 1 },
      }),
    );
    await Promise.all(Array.from({ length: 6 }, (_, n) => core.send(`in/${n}`, n)));
    await core.drained();
    expect((await batchesOf(core)).flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 4, 5]);
    expect(await core.deadLetters()).toMatchObject([{ code, topic: "in/3", attempts: 1 }]);
  });

  it("that wants for all of them what it may not, is handled one by one, and takes no message along that wants nothing wrong", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        limits: { stateBytes: 600 },
        batch: `for (const event of events) ctx.of(event).state.set('v', 'x'.repeat(event.data)); ${LIST}`,
        window: { size: 20, windowMs: 30 },
      }),
    );
    await Promise.all([100, 120, 1_000, 130].map((size) => core.send(`in/${size}`, size)));
    await core.drained();
    expect((await batchesOf(core)).flat().toSorted((a, b) => a - b)).toEqual([100, 120, 130]);
    expect(await core.deadLetters()).toMatchObject([{ code: "LIMIT_STATE", topic: "in/1000" }]);
    expect(await core.journal.loadState("f", "1000")).toEqual([]);
  });

  it("retries the messages that it returns as failed, and each of them once counts", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        prelude: "const tried = new Set();",
        batch: `const failed = events.filter((event) => event.data % 4 === 0 && !tried.has(event.id)); for (const event of failed) tried.add(event.id);
          const rest = events.filter((event) => !failed.includes(event)); if (rest.length > 0) ctx.emit('batch', rest.map((event) => event.data));
          return { failed };`,
        window: { size: 20, windowMs: 30 },
      }),
    );
    await Promise.all(Array.from({ length: 16 }, (_, n) => core.send(`in/${n}`, n)));
    await core.drained();
    expect((await batchesOf(core)).flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, n) => n));
    expect(core.stats("f")).toMatchObject({ handled: 16, retried: 4, deadLettered: 0 });
  });

  it("has what it emits for all on disk before anybody can see it", async () => {
    await using core = await Core.temporary();
    const synced: boolean[] = [];
    const commit = core.journal.commit.bind(core.journal);
    core.journal.commit = (what, done) => {
      if (what.events.length > 0) synced.push(what.sync === true);
      commit(what, done);
    };
    await core.deploy(
      functionOf({ batch: LIST, window: { size: 3, windowMs: 60_000 } }),
      functionOf({ name: "plain", triggers: ["plain"], handler: "ctx.emit('x', 1);" }),
    );
    await Promise.all([1, 2, 3].map((n) => core.send("in/a", n)));
    await eventually(() => expect(synced).toEqual([true]));
    await core.send("plain", 1);
    await eventually(() => expect(synced).toEqual([true, false]));
    // A batch of one may be part of a larger one after a power cut.
    await core.deploy(functionOf({ name: "one", triggers: ["one"], batch: LIST, window: { size: 3, windowMs: 1 } }));
    await core.send("one", 1);
    await eventually(() => expect(synced).toEqual([true, false, true]));
  });
});
