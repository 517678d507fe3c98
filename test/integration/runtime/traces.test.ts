import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const EVERYTHING = { rateMax: 1_000, sampleMax: 1_000 };
const WANTED = { rateMax: 1_000, sampleMax: 0 };

describe("what is recorded of a message", () => {
  it("is when it waited and was handled, and what it brought about, also through the functions that it wakes", async () => {
    await using core = await Core.temporary({ traces: EVERYTHING });
    await core.deploy(
      functionOf({
        name: "first",
        handler: `ctx.state.set('last', event.data); ctx.emit('a', 1); ctx.emit('b', 2);
          ctx.publish('nobody/' + event.params.k, 1); ctx.publish('mid/' + event.params.k, event.data);`,
      }),
      functionOf({ name: "second", triggers: ["mid/+k"], handler: "" }),
    );
    await core.send("in/a", 1);
    await core.drained();
    const [first, ...others] = await core.tracesOf(1);
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      function: "first",
      version: 1,
      attempt: 1,
      outcome: "done",
      state: ["last"],
      events: [{ type: "a" }, { type: "b" }],
      publishes: ["nobody/a", "mid/a"],
      derived: [2],
    });
    const { arrived = 0, sent = 0, answered = 0, committed = 0 } = first ?? {};
    expect([sent >= arrived - 1, answered >= sent, committed >= answered]).toEqual([true, true, true]);
    const places = first?.events.map(({ outbox = "" }) => core.journal.outbox.fateOf(Buffer.from(outbox, "base64"))) ?? [];
    expect(await Promise.all(places)).toEqual(["waiting", "waiting"]);
    expect(await core.tracesOf(2)).toMatchObject([{ function: "second", outcome: "done", derived: [] }]);
    const [message] = await core.journal.read(1, 1);
    expect(message === undefined ? [] : core.runtime.progress(message)).toEqual([{ function: "first", version: 1, progress: "passed" }]);
  });

  it("is each try of one that fails, with its code, and that it was given up", async () => {
    await using core = await Core.temporary({ traces: WANTED });
    await core.deploy(functionOf({ retry: { attempts: 2 }, handler: `ctx.emit('never', 1); throw new Error('no');` }));
    await core.send("in/a", 1);
    await core.send("in/a", "not JSON", { properties: { user: { traceparent: `00-${TRACE}-00f067aa0ba902b7-00` } } });
    await core.drained();
    const failed = { code: "FUNCTION_THREW", events: [], derived: [] };
    expect(await core.tracesOf(1)).toMatchObject([
      { attempt: 1, outcome: "retry", ...failed },
      { attempt: 2, outcome: "dead", ...failed },
    ]);
    expect(await core.tracesOf(2)).toMatchObject([
      { attempt: 1, outcome: "retry", trace: TRACE },
      { attempt: 2, outcome: "dead" },
    ]);
    expect(await core.deadLetters()).toMatchObject([{ seq: 1 }, { seq: 2, trace: TRACE }]);
    const logged = core.runtime.logs.query({ level: "debug", limit: 10, trace: TRACE }).records;
    expect(logged.map(({ invocation }) => invocation)).toEqual(["2.1", "2.2"]);
  });

  it("is a whole chain of functions when the sender wants its message sampled, and nothing of another", async () => {
    await using core = await Core.temporary({ traces: WANTED });
    await core.deploy(
      functionOf({ name: "first", handler: `ctx.publish('mid/' + event.params.k, 1);` }),
      functionOf({ name: "second", triggers: ["mid/+k"], handler: `ctx.publish('end/' + event.params.k, 1);` }),
      functionOf({ name: "third", triggers: ["end/+k"], handler: "" }),
    );
    const properties = { user: { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` } };
    await core.send("in/a", 1);
    await core.send("in/b", 1, { properties });
    await core.drained();
    await core.traces?.flush();
    const seqs = await core.journal.traces.ofTrace(TRACE, 100);
    expect(seqs).toHaveLength(3);
    const records = (await Promise.all(seqs.map((seq) => core.tracesOf(seq)))).flat();
    expect(records.map((record) => record.function)).toEqual(["first", "second", "third"]);
    expect(records.map(({ derived }) => derived)).toEqual([[seqs[1]], [seqs[2]], []]);
    // The parent of what a handling led to is that handling.
    expect(records.map(({ parent }) => parent)).toEqual(["00f067aa0ba902b7", records[0]?.span, records[1]?.span]);
    const all = Array.from({ length: core.journal.nextSeq - 1 }, (_, at) => at + 1);
    const others = await Promise.all(all.filter((seq) => !seqs.includes(seq)).map((seq) => core.tracesOf(seq)));
    expect(others).toEqual([[], [], []]);
  });

  it("names so many effects of a kind and counts the others", async () => {
    await using core = await Core.temporary({ traces: EVERYTHING });
    await core.deploy(
      functionOf({ handler: `for (let i = 0; i < 40; i++) { ctx.emit('e', i); ctx.publish('out/' + i, i); ctx.state.set('n' + i, i); }` }),
    );
    await core.send("in/a", 1);
    await core.drained();
    const [record] = await core.tracesOf(1);
    expect([record?.events.length, record?.publishes.length, record?.state.length]).toEqual([32, 32, 32]);
    expect(record?.more).toEqual({ state: 8, events: 8, publishes: 8, derived: 0 });
  });

  it("is nothing when it is switched off", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ handler: "throw new Error('no')" }));
    await core.send("in/a", 1);
    await core.drained();
    expect(await core.tracesOf(1)).toEqual([]);
  });
});
