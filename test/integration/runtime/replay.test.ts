import { afterEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../../src/core/log.ts";
import type { RecordedMessage } from "../../../src/core/recording.ts";
import { Replays } from "../../../src/runtime/replays.ts";
import { Core } from "../../support/core.ts";
import { functionOf, type FunctionPlan } from "../../support/functions.ts";

const SUM: FunctionPlan = {
  handler: `
    const n = (await ctx.state.get('n') ?? 0) + event.data;
    ctx.state.set('n', n);
    ctx.publish('in/loop', n);
    ctx.emit('sum', { id: event.id, n, at: ctx.now(), version: ctx.function.version });`,
};

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});

async function start(): Promise<{ core: Core; replays: Replays }> {
  const core = await Core.temporary();
  open.push(core);
  const replays = new Replays({ gateway: "g", runtime: core.runtime, journal: core.journal }, silentLogger);
  open.push(replays);
  return { core, replays };
}

let seq = 100;
function message(topic: string, data: unknown): RecordedMessage {
  const payload = Buffer.from(JSON.stringify(data));
  return { seq: seq++, topic, payload, qos: 1, retain: false, time: 5_000, source: "test", hops: 0 };
}

const numbers = (page: { results: readonly { events: readonly { data: unknown }[] }[] }): unknown[] =>
  page.results.flatMap(({ events }) => events.map(({ data }) => (data as { n: number }).n));

describe("a replay", () => {
  it("shows what each message would do, on top of what is stored and of the messages before, and changes nothing", async () => {
    const { core, replays } = await start();
    await core.deploy(functionOf({ ...SUM, handler: (SUM.handler ?? "").replace(/ctx\.publish.*/, "") }));
    await core.send("in/a", 10);
    await core.drained();
    const before = [core.journal.nextSeq, await core.events(), await core.journal.loadState("f", "a")];
    const { id, version } = await replays.begin({ of: "f", state: "current" });
    expect(version).toBe(1);
    seq = 7;
    const page = await replays.handle(id, [message("in/a", 1), message("other/a", 5), message("in/b", 2), message("in/a", 3)]);
    expect(page.taken).toBe(4);
    expect(page.results.map((result) => [result.seq, result.key])).toEqual([
      [7, "a"],
      [9, "b"],
      [10, "a"],
    ]);
    expect(numbers(page)).toEqual([11, 2, 14]);
    expect(page.results[0]?.events[0]?.data).toEqual({ id: "g:7", n: 11, at: 5_000, version: 1 });
    expect(numbers(await replays.handle(id, [message("in/b", 4)]))).toEqual([6]);
    await core.drained();
    expect([core.journal.nextSeq, await core.events(), await core.journal.loadState("f", "a")]).toEqual(before);
    expect(core.stats("f")).toMatchObject({ handled: 1, published: 0 });
  });

  it("tries a version that does not run, with the stored state or none, and publishes nothing", async () => {
    const { core, replays } = await start();
    await core.deploy(functionOf({ handler: "ctx.state.set('n', 100)" }));
    await core.send("in/a", 1);
    await core.drained();
    const { bundle } = functionOf(SUM);
    for (const [state, n] of [
      ["current", 101],
      ["empty", 1],
    ] as const) {
      const { id } = await replays.begin({ of: bundle, version: 9, state });
      const page = await replays.handle(id, [message("in/a", 1)]);
      expect(page.results[0]).toMatchObject({
        events: [{ data: { n, version: 9 } }],
        publishes: [{ topic: "in/loop", payload: String(n) }],
      });
      await replays.end(id);
    }
    await core.drained();
    expect(core.published).toEqual([]);
    expect(core.stats("f").handled).toBe(1);
  });

  it("goes on after failures of every kind, with the state as it was before them, and disturbs no function that works", async () => {
    const { core, replays } = await start();
    await core.deploy(functionOf({ ...SUM, name: "live", triggers: ["live/+k"] }));
    const { bundle } = functionOf({
      limits: { cpuMs: 50, wallMs: 300 },
      handler: `
        const n = (await ctx.state.get('n') ?? 0) + 1;
        ctx.state.set('n', n);
        ctx.log.info('saw ' + event.data);
        if (event.data === 'throw') throw new Error('no');
        if (event.data === 'loop') for (;;);
        if (event.data === 'hang') await new Promise(() => undefined);
        if (event.data === 'crash') 'x'.repeat(2 ** 29 - 24).split('');
        ctx.emit('n', { n });`,
    });
    const { id } = await replays.begin({ of: bundle, state: "empty" });
    const kinds = ["ok", "throw", "ok", "loop", "ok", "hang", "ok", "crash", "ok"];
    const page = await replays.handle(
      id,
      kinds.map((kind) => message("in/a", kind)),
    );
    // The crash takes long enough to be cut short on a slow machine.
    expect(page.results.map(({ ok, error }) => (ok ? "ok" : error?.code))).toEqual([
      "ok",
      "FUNCTION_THREW",
      "ok",
      "LIMIT_CPU",
      "ok",
      "LIMIT_WALL",
      "ok",
      expect.stringMatching(/^(HOST_CRASHED|LIMIT_CPU)$/),
      "ok",
    ]);
    expect(numbers(page)).toEqual([1, 2, 3, 4, 5]);
    expect(page.results[1]).toMatchObject({ state: [], logs: [{ message: "saw throw" }] });
    expect(core.runtime.stats().hostRestarts).toBe(0);
  });

  it("stops a function whose writes outgrow limits.state", async () => {
    const { replays } = await start();
    const { bundle } = functionOf({
      limits: { stateBytes: 1_000 },
      handler: "ctx.state.set('big', 'x'.repeat(event.data)); ctx.emit('kept', { n: event.data })",
    });
    const { id } = await replays.begin({ of: bundle, state: "empty" });
    const page = await replays.handle(id, [message("in/a", 600), message("in/b", 600), message("in/a", 100), message("in/b", 600)]);
    expect(page.results.map(({ ok, error }) => error?.code ?? ok)).toEqual([true, "LIMIT_STATE", true, true]);
    expect(page.results[1]).toMatchObject({ state: [], events: [] });
  });

  it("refuses what it cannot run", async () => {
    const { core, replays } = await start();
    await core.deploy(functionOf(SUM));
    await expect(replays.begin({ of: "g", state: "empty" })).rejects.toMatchObject({ code: "FUNCTION_UNKNOWN" });
    await expect(replays.begin({ of: "f", version: 2, state: "empty" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    const { bundle } = functionOf({ prelude: "throw new Error('at once')", handler: "" });
    await expect(replays.begin({ of: bundle, state: "empty" })).rejects.toMatchObject({ code: "FUNCTION_LOAD_FAILED" });
    await expect(replays.handle("nobody", [])).rejects.toMatchObject({ code: "NOT_FOUND" });
    await replays.begin({ of: "f", state: "empty" });
    const second = await replays.begin({ of: "f", version: 1, state: "empty" });
    await expect(replays.begin({ of: "f", state: "empty" })).rejects.toMatchObject({ code: "TOO_MANY_REPLAYS" });
    await replays.end(second.id);
    await expect(replays.handle(second.id, [message("in/a", 1)])).rejects.toMatchObject({ code: "NOT_FOUND" });
    await replays.begin({ of: "f", state: "empty" });
  });

  it("ends at once, whatever the function is doing", async () => {
    const { replays } = await start();
    const { bundle } = functionOf({ limits: { wallMs: 60_000 }, handler: "await new Promise(() => undefined)" });
    const { id } = await replays.begin({ of: bundle, state: "empty" });
    const page = replays.handle(id, [message("in/a", 1)]);
    const [refused] = await Promise.allSettled([page, replays.end(id)]);
    expect(refused).toMatchObject({ status: "rejected", reason: { code: "NOT_FOUND" } });
    await replays.close();
    await expect(replays.begin({ of: bundle, state: "empty" })).rejects.toMatchObject({ code: "JOURNAL_CLOSED" });
  });
});
