import { expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

/** Everything a handler can bring about, from the message, the state and the message's time. */
const thorough = functionOf({
  retry: { attempts: 3, minMs: 1, maxMs: 1, maxAgeMs: Number.MAX_SAFE_INTEGER },
  handler: `
    const n = (await ctx.state.get('n')) ?? 0;
    ctx.state.set('n', n + 1);
    ctx.state.set('at', ctx.now());
    ctx.emit('first', { n, id: event.id, time: ctx.now() });
    ctx.publish('out/' + event.params.k, { n, time: ctx.now() }, { retain: true });
    ctx.emit('second', event.data, { subject: 'other' });
    if (event.data.fails >= event.attempt) throw new Error('not yet');`,
});

async function effects(): Promise<string> {
  await using core = await Core.temporary();
  await core.deploy(thorough);
  for (let n = 0; n < 6; n++) await core.send(`in/k${n % 2}`, { n }, { time: 1_700_000_000_000 + n });
  await core.drained();
  const events = await core.journal.outbox.read(0, 100);
  const state = await Promise.all(["k0", "k1"].map((key) => core.journal.loadState("f", key)));
  return JSON.stringify({ events: events.map(({ event }) => event), state, published: core.published });
}

it("handling the same messages again brings about the same bytes and the same ids", async () => {
  const once = await effects();
  expect(await effects()).toBe(once);
  expect(once).toContain("g:1:f:0");
});

it("a message that failed before leaves no trace of its failed tries", async () => {
  await using core = await Core.temporary();
  await core.deploy(thorough);
  await core.send("in/a", { n: 1, fails: 2 }, { time: 5_000 });
  await core.drained();
  expect((await core.events()).map(({ id, type }) => [id, type])).toEqual([
    ["g:1:f:0", "first"],
    ["g:1:f:1", "second"],
  ]);
  expect((await core.journal.loadState("f", "a")).map(({ name, value }) => [name, value.toString()])).toEqual([
    ["at", "5000"],
    ["n", "1"],
  ]);
});
