import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf, type TestFunction } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** A version that says who handled what, and counts in the state that it shares with the others. */
function version(number: number, more: Partial<FunctionPlan> = {}): TestFunction {
  return functionOf({
    version: number,
    concurrency: 2,
    handler: `
      const count = (await ctx.state.get('count') ?? 0) + 1;
      ctx.state.set('count', count);
      ctx.emit('seen', [event.data, count], { subject: event.params.k });
      // ${number}`,
    ...more,
  });
}

describe("a new version under load", () => {
  it("takes over at a position: nothing is lost, handled twice or out of order, and state goes on", async () => {
    await using core = await Core.temporary({ hosts: 2, pendingMax: 200 });
    await core.deploy(version(1));
    const total = 6_000;
    const each = total / 6;
    let sent = 0;
    let allowed = each;
    const sending = (async () => {
      for (; sent < total; sent += 50) {
        await eventually(() => expect(sent).toBeLessThan(allowed), { interval: 1 });
        await Promise.all(Array.from({ length: 50 }, (_, i) => core.send(`in/k${(sent + i) % 5}`, sent + i)));
      }
    })();
    for (let number = 2; number <= 6; number++) {
      await eventually(() => expect(sent).toBeGreaterThan((number - 1.5) * each), { interval: 1 });
      await core.deploy(version(number));
      allowed += each;
      // On a busy machine the next one would come before this one has handled a message of each key.
      const { handled } = core.stats("f");
      await eventually(() => expect(core.stats("f").handled).toBeGreaterThan(handled + 100));
    }
    await sending;
    await core.drained();
    const events = await core.events();
    for (let key = 0; key < 5; key++) {
      const numbers = Array.from({ length: total / 5 }, (_, i) => [key + i * 5, i + 1]);
      expect(events.filter(({ subject }) => subject === `k${key}`).map(({ data }) => data)).toEqual(numbers);
    }
    for (let key = 0; key < 5; key++) {
      const versions = events.filter(({ subject }) => subject === `k${key}`).map((event) => event.version);
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      expect(new Set(versions)).toEqual(new Set([1, 2, 3, 4, 5, 6]));
    }
    expect(core.stats("f")).toMatchObject({ version: 6, handled: total, deadLettered: 0 });
    expect(core.stats("f").from).toBe(Math.min(...events.filter((event) => event.version === 6).map(({ seq }) => seq)));
  });

  it("that does not load leaves the one before at work, and says why", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1));
    const bad = [
      { plan: { prelude: "throw new Error('no configuration')" }, code: "FUNCTION_LOAD_FAILED", message: "no configuration" },
      { plan: { prelude: "for (;;);" }, code: "FUNCTION_LOAD_FAILED", message: "LIMIT_CPU: the top-level code" },
      { plan: { prelude: "syntax error here" }, code: "FUNCTION_LOAD_FAILED", message: "Unexpected identifier" },
      {
        plan: { prelude: "const all = []; for (;;) all.push(new Array(100_000).fill(1))" },
        code: "FUNCTION_LOAD_FAILED",
        message: "LIMIT_MEMORY: the top-level code",
      },
      { plan: { prelude: "'x'.repeat(2 ** 29 - 24).split('')" }, code: "HOST_CRASHED", message: "the host process" },
    ];
    for (const [index, { plan, code, message }] of bad.entries()) {
      const { target, bundle } = version(2 + index, plan);
      await expect(core.runtime.deploy(target, bundle)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
      await core.send("in/k0", index);
      expect(core.stats("f")).toMatchObject({ version: 1, state: "active", error: expect.stringContaining(message) });
    }
    const missing = version(20);
    await expect(core.runtime.deploy(missing.target, { ...missing.bundle, code: "var nothing;" })).rejects.toMatchObject({
      message: expect.stringContaining("defineFunction"),
    });
    await core.drained();
    expect((await core.events()).map(({ version: by, data }) => [by, data])).toEqual(bad.map((_, index) => [1, [index, index + 1]]));
    await core.deploy(version(30));
    expect(core.stats("f")).not.toHaveProperty("error");
  });

  it("with other triggers handles only what comes after it took over", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1), functionOf({ name: "other", triggers: ["other/+k"], handler: "" }));
    for (let i = 0; i < 20; i++) await core.send("other/k", i);
    await core.drained();
    await core.deploy(version(2, { triggers: ["in/+k", "other/+k"], key: "k" }));
    await core.send("other/k", 20);
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([[20, 1]]);
    expect(core.stats("f").from).toBe(21);
  });

  it("gets the messages that wait for their retry", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1, { retry: { attempts: 100, minMs: 60_000, maxMs: 60_000 }, handler: "throw new Error('broken')" }));
    for (let i = 0; i < 3; i++) await core.send("in/k", i);
    await eventually(() => expect(core.stats("f").retried).toBeGreaterThan(0));
    await core.deploy(version(2));
    await core.drained();
    expect((await core.events()).map(({ version: by, data }) => [by, data])).toEqual([0, 1, 2].map((i) => [2, [i, i + 1]]));
  });
});

describe("a function that is removed", () => {
  it("handles nothing more, keeps its state, and starts afresh when it comes back", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1));
    await core.send("in/k", 1);
    await core.drained();
    await core.runtime.remove("f");
    expect(core.runtime.matches("in/k")).toBe("none");
    expect(core.runtime.stats().functions).toEqual([]);
    expect(core.journal.functionRecord("f")).toBeUndefined();
    await core.send("in/k", 2);
    await core.deploy(version(2));
    await core.send("in/k", 3);
    await core.drained();
    expect((await core.events()).map(({ version: by, data }) => [by, data])).toEqual([
      [1, [1, 1]],
      [2, [3, 2]],
    ]);
  });
});

describe("what is acknowledged for a function that is not there after a start", () => {
  it("is journaled, and handled when the function is there again; volatile messages are not", async () => {
    await using folder = await TempFolder.make();
    const plan = { triggers: ["in/+k", "often/+k"], volatile: ["often/+k"] };
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(version(1, plan));
    }
    await using core = await Core.open({ folder: folder.path });
    expect(["in/k", "often/k", "else/k"].map((topic) => core.runtime.matches(topic))).toEqual(["durable", "none", "none"]);
    await core.send("in/k", 7);
    await core.deploy(version(2, plan));
    expect(core.runtime.matches("often/k")).toBe("volatile");
    await core.drained();
    expect((await core.events()).map(({ version: by, data }) => [by, data])).toEqual([[2, [7, 1]]]);
    await core.runtime.remove("f");
    expect(core.runtime.matches("in/k")).toBe("none");
  });
});

describe("what was acknowledged for a function that cannot be started again", () => {
  it("is not trimmed away, and is handled when it can", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(
        version(1, { handler: "await new Promise(() => undefined)" }),
        functionOf({ name: "other", triggers: ["in/#"], handler: "" }),
      );
      for (let i = 0; i < 5; i++) await core.send("in/k", i);
    }
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(functionOf({ name: "other", triggers: ["in/#"], handler: "" }));
      await expect(core.deploy(version(1, { prelude: "throw new Error('not today')" }))).rejects.toThrow("not today");
      await core.drained();
      await core.journal.trim(core.runtime.floor);
      expect(core.runtime.floor).toBe(1);
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(version(2), functionOf({ name: "other", triggers: ["in/#"], handler: "" }));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([0, 1, 2, 3, 4].map((i) => [i, i + 1]));
    expect(core.runtime.floor).toBe(6);
  });
});
