import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/core/message.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const idempotent: FunctionPlan = {
  concurrency: 2,
  idempotency: { key: "data.id", windowMs: 600_000, entries: 1_000 },
  retry: { attempts: 5, minMs: 1, maxMs: 4 },
  handler: `
    if (event.data.fails >= event.attempt) throw new Error('not yet');
    const n = (await ctx.state.get('n')) ?? 0;
    ctx.state.set('n', n + 1);
    ctx.emit('seen', event.data.id, { subject: event.params.k });`,
};

const sorted = (values: readonly unknown[]): unknown[] => values.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
const withId = (id: string): Partial<Message> => ({ properties: { user: { id } } });
const ids = async (core: Core): Promise<unknown[]> => (await core.events()).map(({ data }) => data);

describe("a function with an idempotency key", () => {
  it.each(["strict", "relaxed"] as const)("handles copies once, those under way included, with %s order", async (order) => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ ...idempotent, order }));
    // Copies of one message under several keys and lanes, the first of which fails twice.
    const sent = ["a", "b", "c"].flatMap((id) =>
      ["k0", "k1", "k0", "k2"].map((k) => core.send(`in/${k}`, { id, fails: id === "b" ? 2 : 0 })),
    );
    await Promise.all(sent);
    await core.drained();
    expect(sorted(await ids(core))).toEqual(["a", "b", "c"]);
    expect(core.stats("f")).toMatchObject({ handled: 3, duplicates: 9, deadLettered: 0 });
  });

  it("handles a copy when the first was given up", async () => {
    await using core = await Core.temporary();
    const handler = `if (event.data.bad) throw new Error('no'); ctx.emit('seen', event.data.id);`;
    await core.deploy(functionOf({ ...idempotent, handler }));
    await Promise.all([core.send("in/a", { id: 1, bad: true }), core.send("in/a", { id: 1 }), core.send("in/b", { id: 1 })]);
    await core.drained();
    expect(await ids(core)).toEqual([1]);
    expect(core.stats("f")).toMatchObject({ handled: 1, duplicates: 1, deadLettered: 1 });
  });

  it("handles messages without a key, and takes the key from a user property", async () => {
    await using core = await Core.temporary();
    const handler = `ctx.emit('seen', event.text);`;
    await core.deploy(functionOf({ ...idempotent, handler, idempotency: { key: "property:id", windowMs: 600_000, entries: 10 } }));
    await core.send("in/a", "1", withId("x"));
    await core.send("in/a", "2", withId("x"));
    await core.send("in/a", "3");
    await core.send("in/a", "3");
    await core.send("in/a", "4", withId("y"));
    await core.drained();
    expect(await ids(core)).toEqual(["1", "3", "3", "4"]);
  });

  it("remembers over a stop and over a switch to another version; a version without a key forgets", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(functionOf(idempotent));
      await core.send("in/a", { id: 1 });
      await core.drained();
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(functionOf(idempotent));
    await core.send("in/a", { id: 1 });
    await core.drained();
    await core.deploy(functionOf({ ...idempotent, version: 2, handler: `${idempotent.handler} ` }));
    await core.send("in/b", { id: 1 });
    await core.send("in/b", { id: 2 });
    await core.drained();
    expect(await ids(core)).toEqual([1, 2]);
    expect(core.stats("f").duplicates).toBe(2);
    const { idempotency: _none, ...plain } = idempotent;
    await core.deploy(functionOf({ ...plain, version: 3 }));
    expect(await core.journal.state.marks("f")).toEqual([]);
  });

  it("keeps no more marks than its entries, also on disk", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ ...idempotent, idempotency: { key: "data.id", windowMs: 600_000, entries: 5 } }));
    for (let id = 0; id < 30; id++) await core.send("in/a", { id });
    await core.drained();
    await eventually(async () => expect(await core.journal.state.marks("f")).toHaveLength(5));
  });
});

describe("whatever copies come in whatever order, with stops in between,", () => {
  it("each key is handled exactly once, and its state and event say so", async () => {
    const step = fc.record({ id: fc.nat(12), k: fc.nat(3), fails: fc.nat(2) });
    const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 25 }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(rounds, fc.constantFrom("strict" as const, "relaxed" as const), async (plan, order) => {
        await using folder = await TempFolder.make();
        const version = functionOf({ ...idempotent, order });
        for (const round of plan) {
          await using core = await Core.open({ folder: folder.path, pendingMax: 16 });
          await core.deploy(version);
          // Closed in the middle of it: what was under way is handled again.
          await Promise.all(round.map(({ id, k, fails }) => core.send(`in/k${k}`, { id, fails })));
        }
        await using core = await Core.open({ folder: folder.path, pendingMax: 16 });
        await core.deploy(version);
        await core.drained();
        const sent = new Set(plan.flat().map(({ id }) => id));
        expect(sorted(await ids(core))).toEqual(sorted([...sent]));
        const states = await Promise.all([0, 1, 2, 3].map((k) => core.journal.loadState("f", `k${k}`)));
        const counted = states.flat().reduce((sum, { value }) => sum + Number(value.toString()), 0);
        expect(counted).toBe(sent.size);
      }),
      { numRuns: 10 },
    );
  });
});
