import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

const failing = `if (event.data.n < 3) throw new Error('no'); ctx.emit('seen', event.data.n);`;

it("while dead letters are full a function with overflow block waits instead of losing one, and other keys go on", async () => {
  await using core = await Core.temporary({ journal: { deadLettersBytesMax: 1 } });
  await core.deploy(functionOf({ handler: failing, retry: { attempts: 2, minMs: 1, maxMs: 5 } }));
  await core.send("in/a", { n: 0 });
  await core.drained();
  expect((await core.deadLetters()).length).toBe(1);
  for (const n of [1, 2, 3]) await core.send(`in/k${n}`, { n });
  await eventually(() => expect(core.stats("f")).toMatchObject({ handled: 1, deadLettered: 1 }));
  await eventually(() => expect(core.stats("f").retried).toBeGreaterThan(10));
  expect((await core.deadLetters()).length).toBe(1);
  expect(core.stats("f").backlog).toBe(2);
  await core.journal.clearDeadLetters("f");
  await eventually(() => expect(core.stats("f").deadLettered).toBeGreaterThan(1));
  await core.journal.clearDeadLetters("f");
  await core.drained();
  expect(core.stats("f")).toMatchObject({ handled: 1, deadLettered: 3 });
  expect(core.drops.all()).toEqual([]);
});

it("while dead letters are full a message that failed for good holds its key back too, whether its handler said so or it was refused", async () => {
  await using core = await Core.temporary({ journal: { deadLettersBytesMax: 1 } });
  const handler = `
    if (event.data.fails) throw Object.assign(new Error('never'), { name: 'PermanentError' });
    if (event.data.keeps) ctx.state.set('x', 'y'.repeat(200));
    ctx.emit('seen', event.data.n, { subject: event.params.k });`;
  await core.deploy(functionOf({ handler, retry: { attempts: 2, minMs: 1, maxMs: 5 }, limits: { stateBytes: 100 } }));
  await core.send("in/full", { fails: true });
  await core.drained();
  await Promise.all(["a", "b"].map((k) => core.send(`in/${k}`, { n: 1, [k === "a" ? "fails" : "keeps"]: true })));
  for (const k of ["a", "b", "c"]) await core.send(`in/${k}`, { n: 2 });
  await eventually(() => expect(core.stats("f").retried).toBeGreaterThan(10));
  await eventually(async () => expect(await core.bySubject()).toEqual({ c: [2] }));
  expect(core.stats("f")).toMatchObject({ handled: 1, deadLettered: 1, backlog: 4 });
  for (const deadLettered of [2, 3]) {
    await core.journal.clearDeadLetters("f");
    await eventually(() => expect(core.stats("f").deadLettered).toBeGreaterThanOrEqual(deadLettered));
  }
  await core.drained();
  expect(await core.bySubject()).toEqual({ a: [2], b: [2], c: [2] });
  expect(core.stats("f")).toMatchObject({ handled: 3, deadLettered: 3, backlog: 0 });
});

it.each(["strict", "relaxed"] as const)(
  "with %s order it goes on when letters are cleared, however long its retry would have to wait",
  async (order) => {
    await using core = await Core.temporary({ journal: { deadLettersBytesMax: 1 } });
    const retry = { attempts: 1, minMs: 3_600_000, maxMs: 3_600_000 };
    await core.deploy(functionOf({ handler: failing, order, concurrency: 2, retry }));
    await core.send("in/a", { n: 0 });
    await core.drained();
    for (const n of [1, 2]) for (let copy = 0; copy < 3; copy++) await core.send(`in/k${n}`, { n: copy === 0 ? n : 3 });
    await eventually(() => expect(core.stats("f")).toMatchObject({ retried: 2, deadLettered: 1, handled: order === "strict" ? 0 : 4 }));
    await core.journal.clearDeadLetters("f");
    await core.drained();
    expect(core.stats("f")).toMatchObject({ deadLettered: 3, handled: 4 });
    expect(core.drops.all()).toEqual([]);
  },
);
