import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

/** What a bad message makes the handler do, how it ends, and limits that make it end soon. */
const deeds = [
  { what: "computes without end", code: ["LIMIT_CPU"], body: "for (;;);", limits: { cpuMs: 50 } },
  {
    what: "computes without end once it has its state",
    code: ["LIMIT_CPU"],
    body: "await ctx.state.get('x'); for (;;);",
    limits: { cpuMs: 50 },
  },
  {
    what: "floods itself with microtasks",
    code: ["LIMIT_CPU"],
    body: "const again = () => Promise.resolve().then(again); await again();",
    limits: { cpuMs: 50 },
  },
  {
    what: "searches with a regular expression bomb",
    code: ["LIMIT_CPU"],
    body: "/^(a+)+$/.test('a'.repeat(50) + 'b');",
    limits: { cpuMs: 50 },
  },
  { what: "never settles", code: ["LIMIT_WALL"], body: "await new Promise(() => undefined);", limits: { wallMs: 200 } },
  {
    what: "fills its memory",
    code: ["LIMIT_MEMORY"],
    body: "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));",
    limits: { cpuMs: 5_000, memoryBytes: 16 * 2 ** 20 },
  },
  { what: "makes V8 give up", code: ["HOST_CRASHED"], body: "'x'.repeat(2 ** 29 - 24).split('');", limits: { cpuMs: 2_000 } },
  {
    what: "computes where nothing can interrupt it",
    code: ["HOST_CRASHED", "LIMIT_CPU"], // Which, depends on how long the machine takes for it.
    body: "3n ** (2n ** 27n);",
    limits: { cpuMs: 50, wallMs: 400 },
  },
  {
    what: "fills its memory where V8 overlooks that it was stopped",
    code: ["HOST_CRASHED", "LIMIT_MEMORY"],
    body: "const all = []; for (;;) all.push(JSON.stringify(Array(1000).fill(all.length)));",
    limits: { cpuMs: 5_000, memoryBytes: 16 * 2 ** 20 },
  },
  {
    what: "keeps more than its memory at once",
    code: ["LIMIT_MEMORY"],
    body: "globalThis.kept = new Array(4e6).fill(1);",
    limits: { cpuMs: 5_000, memoryBytes: 16 * 2 ** 20 },
  },
  // Depending on the machine's memory this crashes V8, is stuck in it, or ends at the limit.
  {
    what: "sorts more than there is",
    code: ["HOST_CRASHED", "LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_WALL"],
    body: "new Array(1e8).fill(0).sort();",
    limits: { cpuMs: 50, wallMs: 400 },
  },
] as const;

describe.each(deeds)("a message whose handling $what", ({ what, code, body, limits }) => {
  const attempts = what.includes("interrupt") || what.includes("sorts") ? 1 : 2; // These take long each time.

  it(`ends in the dead letters with ${code.join(" or ")}; every other message is handled exactly once, at its first attempt`, async () => {
    await using core = await Core.temporary({ hosts: 1 });
    await core.deploy(
      functionOf({
        name: "guilty",
        concurrency: 2,
        limits,
        retry: { attempts, minMs: 0, maxMs: 5 },
        handler: `if (event.data === 'bad') { ${body} } ctx.emit('guilty', [event.data, event.attempt], { subject: event.params.k });`,
      }),
      // With a single attempt, a neighbour that is charged with somebody else's crash would be dead-lettered.
      functionOf({
        name: "neighbour",
        concurrency: 2,
        retry: { attempts: 1 },
        handler: `ctx.state.set('n', event.seq); ctx.emit('neighbour', [event.data, event.attempt], { subject: event.params.k });`,
      }),
    );
    // One at a time, then many at once, then one at a time again: a host treats a quick function differently from one it does not know.
    const bad = 261;
    for (let i = 0; i < 200; i++) await core.send(`in/k${i % 5}`, i);
    await Promise.all(Array.from({ length: 150 }, (_, i) => core.send(`in/k${i % 5}`, 200 + i === bad ? '"bad"' : 200 + i)));
    for (let i = 350; i < 400; i++) await core.send(`in/k${i % 5}`, i);
    await core.drained(25_000);
    const letters = await core.deadLetters();
    expect(letters).toEqual([expect.objectContaining({ function: "guilty", seq: bad + 1, attempts })]);
    expect(code).toContain(letters[0]?.code);
    for (const type of ["guilty", "neighbour"]) {
      const events = await core.events(type);
      for (let key = 0; key < 5; key++) {
        const numbers = Array.from({ length: 80 }, (_, i) => key + i * 5).map((n) => (n === bad ? "bad" : n));
        const expected = numbers.filter((n) => type === "neighbour" || n !== "bad").map((n) => [n, 1]);
        expect(
          events.filter(({ subject }) => subject === `k${key}`).map(({ data }) => data),
          `${type} k${key}`,
        ).toEqual(expected);
      }
    }
    expect(core.stats("neighbour")).toMatchObject({ handled: 400, failed: 0, retried: 0, deadLettered: 0 });
    expect(core.stats("guilty")).toMatchObject({ handled: 399, failed: attempts, deadLettered: 1 });
  });
});

describe("a neighbour", () => {
  it("whose only message is under way when somebody else takes the host down is not charged with it", async () => {
    await using core = await Core.temporary({ hosts: 1 });
    await core.deploy(
      functionOf({
        name: "guilty",
        triggers: ["in/bad"],
        limits: { cpuMs: 5_000 },
        retry: { attempts: 1 },
        handler: "'x'.repeat(2 ** 29 - 24).split('')",
      }),
      functionOf({
        name: "slow",
        triggers: ["in/slow"],
        limits: { cpuMs: 5_000 },
        retry: { attempts: 1 },
        handler: "const end = Date.now() + 700; while (Date.now() < end); ctx.emit('slow', event.attempt);",
      }),
    );
    await Promise.all([core.send("in/slow", 1), core.send("in/bad", 1)]);
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([1]);
    expect(await core.deadLetters()).toMatchObject([{ function: "guilty", code: "HOST_CRASHED", attempts: 1 }]);
    expect(core.stats("slow")).toMatchObject({ handled: 1, failed: 0 });
  });
});

describe("a function", () => {
  it("whose messages are each within the limits is not blamed for many of them together", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        limits: { cpuMs: 60 },
        retry: { attempts: 1 },
        handler: `const end = Date.now() + 8; while (Date.now() < end); ctx.emit('seen', event.data);`,
      }),
    );
    await Promise.all(Array.from({ length: 150 }, (_, i) => core.send("in/k", i)));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(await core.deadLetters()).toEqual([]);
  });

  it("that answers with nonsense is replaced, and only the message at fault is given up", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 2, minMs: 0, maxMs: 1 },
        // String.fromCharCode writes every length in the guest's answer.
        handler: `
          if (event.data === 'bad') { String.fromCharCode = () => '\\u00ff\\u00ff\\u00ff\\u00ff'; ctx.publish('x', 1); return; }
          ctx.emit('seen', event.data);`,
      }),
    );
    await Promise.all(Array.from({ length: 40 }, (_, i) => core.send("in/k", i === 7 ? '"bad"' : i)));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(Array.from({ length: 40 }, (_, i) => i).filter((i) => i !== 7));
    expect(await core.deadLetters()).toMatchObject([{ seq: 8, code: "FUNCTION_THREW", attempts: 2 }]);
    expect(core.published).toEqual([]);
  });
});
