import { describe, expect, it, vi } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";

const CRASH = "'x'.repeat(2 ** 29 - 24).split('');";

describe("a message that kills its host", () => {
  it("among 256 of other keys in the same batch is the only one that is charged, and the only one that is lost to the dead letters", async () => {
    await using core = await Core.temporary({ begin: false });
    await core.deploy(
      functionOf({
        limits: { cpuMs: 5_000 },
        retry: { attempts: 2, minMs: 0, maxMs: 5 },
        handler: `if (event.data === 'bad') { ${CRASH} } ctx.emit('seen', [event.data, event.attempt], { subject: event.params.k });`,
      }),
    );
    const bad = 130;
    await Promise.all(Array.from({ length: 256 }, (_, i) => core.send(`in/k${i}`, i === bad ? '"bad"' : i)));
    core.runtime.begin();
    await core.drained();
    const seen = await core.events();
    const numbers = Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== bad);
    expect(seen.map(({ data }) => data).toSorted((a, b) => Number((a as number[])[0]) - Number((b as number[])[0]))).toEqual(
      numbers.map((n) => [n, 1]),
    );
    expect(await core.deadLetters()).toMatchObject([{ seq: bad + 1, attempts: 2 }]);
    expect(core.stats("f")).toMatchObject({ failed: 2, deadLettered: 1, handled: 255 });
    // Once among the others, and once for each of its attempts.
    expect(core.runtime.stats().hostRestarts).toBe(3);
  });

  it("takes nothing from a neighbour in the same host, which is tried beside it and never charged", async () => {
    await using core = await Core.temporary();
    const neighbour = functionOf({
      name: "neighbour",
      triggers: ["in/slow"],
      limits: { cpuMs: 5_000 },
      retry: { attempts: 1 },
      handler: "const end = Date.now() + 400; while (Date.now() < end); ctx.emit('slow', [event.data, event.attempt]);",
    });
    await core.deploy(
      functionOf({ name: "guilty", triggers: ["in/bad"], limits: { cpuMs: 5_000 }, retry: { attempts: 1 }, handler: CRASH }),
      neighbour,
    );
    await Promise.all([core.send("in/slow", 1), core.send("in/bad", 1), core.send("in/slow", 2)]);
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([
      [1, 1],
      [2, 1],
    ]);
    expect(await core.deadLetters()).toMatchObject([
      { function: "guilty", code: expect.stringMatching(/HOST_CRASHED|LIMIT_CPU/), attempts: 1 },
    ]);
    expect(core.stats("neighbour")).toMatchObject({ handled: 2, failed: 0, retried: 0 });
  });

  it("by the memory that it takes is found, too, and its limit is named", async () => {
    await using core = await Core.temporary({ hostMemoryMax: 250 * 2 ** 20 });
    const bomb = "const all = []; for (;;) all.push('x'.repeat(1e6).split('x').map(() => new Array(100).fill(1)));";
    const limits = { cpuMs: 10_000, memoryBytes: 2 ** 30 };
    await core.deploy(
      functionOf({ name: "guilty", triggers: ["in/bad"], limits, retry: { attempts: 1 }, handler: bomb }),
      functionOf({
        name: "waiting",
        triggers: ["in/wait"],
        retry: { attempts: 1 },
        handler: "for (let i = 0; i < 3; i++) await ctx.state.get('x' + i);",
      }),
    );
    await Promise.all([core.send("in/wait", 1), core.send("in/bad", 1)]);
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([
      { function: "guilty", code: "LIMIT_MEMORY", error: expect.stringContaining("runtime.host_memory_max") },
    ]);
    expect(core.stats("waiting")).toMatchObject({ handled: 1, failed: 0 });
  });
});

function killer(attempts: number): TestFunction {
  return functionOf({
    limits: { cpuMs: 5_000 },
    retry: { attempts, minMs: 0, maxMs: 1 },
    handler: `if (event.data === 'bad') { ${CRASH} } ctx.emit('seen', event.data);`,
  });
}

describe("a function that keeps killing hosts", () => {
  it("is quarantined and goes on after that, without the message that it was", async () => {
    const changed = vi.fn<() => void>();
    await using core = await Core.temporary({ changed });
    await core.deploy(killer(4), functionOf({ name: "other", triggers: ["other"], handler: "ctx.emit('other', 1);" }));
    await core.send("in/a", '"bad"');
    await core.send("in/b", 1);
    await vi.waitUntil(() => core.stats("f").state === "quarantined", { timeout: 30_000 });
    expect(changed).toHaveBeenCalled();
    expect(core.stats("f").error).toMatch(/^(HOST_CRASHED|LIMIT_CPU): /);
    expect(
      core.runtime.logs
        .query({ function: "f", level: "error", after: 0, limit: 10 })
        .records.map(({ message }) => message)
        .join(),
    ).toContain("FUNCTION_QUARANTINED");
    await core.send("other", 1);
    await vi.waitUntil(() => core.stats("other").handled === 1);
    await core.drained();
    expect(core.stats("f")).toMatchObject({ deadLettered: 1, handled: 1 });
    // The other message may have been handled between two attempts of this one.
    await vi.waitUntil(() => core.stats("f").state === "active", { timeout: 30_000 });
    expect(await core.deadLetters()).toMatchObject([{ attempts: 4 }]);
    expect((await core.events("seen")).map(({ data }) => data)).toEqual([1]);
  });

  it("is out of quarantine when another version takes over", async () => {
    await using core = await Core.temporary();
    await core.deploy(killer(50));
    await core.send("in/a", '"bad"');
    await vi.waitUntil(() => core.stats("f").state === "quarantined", { timeout: 30_000 });
    await core.deploy(functionOf({ version: 2, handler: "ctx.emit('seen', event.data);" }));
    await core.drained(900);
    expect(core.stats("f")).toMatchObject({ state: "active", version: 2, handled: 1 });
  });
});

describe("a version", () => {
  it("that has handled 1,000 messages without harm moves to a shared host, in the middle of its work, and that is on record", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        handler: "const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); ctx.emit('n', n, { subject: event.params.k });",
      }),
    );
    for (let round = 0; round < 30; round++) await Promise.all(Array.from({ length: 50 }, (_, i) => core.send(`in/k${i % 5}`, i)));
    await core.drained();
    expect(core.journal.functionRecord("f")).toMatchObject({ proven: true });
    await vi.waitUntil(() => core.runtime.stats().hosts === 3); // The one on probation is kept for a while, and there is the spare one.
    const numbers = await core.bySubject();
    for (let k = 0; k < 5; k++) expect(numbers[`k${k}`]).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(core.stats("f")).toMatchObject({ handled: 1_500, failed: 0, retried: 0 });
  });

  it("with `isolation: process` has a host of its own", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "alone", isolation: "process", concurrency: 2, handler: "ctx.emit('x', 1);" }),
      functionOf({ handler: "" }),
    );
    await vi.waitUntil(() => core.runtime.stats().hosts === 3); // Its own, the one on probation, the spare.
    await core.send("in/a", 1);
    await core.drained();
    expect(core.stats("alone")).toMatchObject({ handled: 1 });
  });
});
