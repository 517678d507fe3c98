import { describe, expect, it, vi } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const damaged = (): Error => new Error("Corruption: block checksum mismatch");
const counting = functionOf({
  retry: { attempts: 1 },
  limits: { wallMs: 200 },
  handler: `const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); ctx.emit('count', n, { subject: event.params.k });`,
});

describe("a read of the journal that fails once", () => {
  it("holds up neither state that is asked for nor the account of it", async () => {
    await using core = await Core.temporary();
    await core.deploy(counting);
    const state = vi.spyOn(core.journal, "loadState").mockRejectedValueOnce(damaged());
    const bytes = vi.spyOn(core.journal.state, "bytes").mockRejectedValueOnce(damaged());
    for (let i = 0; i < 5; i++) await core.send("in/a", {});
    await core.drained();
    expect(await core.bySubject()).toEqual({ a: [1, 2, 3, 4, 5] });
    expect([state.mock.calls.length, bytes.mock.calls.length]).toEqual([2, 2]);
  });

  it("holds up no messages", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path, begin: false });
      await core.deploy(counting);
      for (let i = 0; i < 5; i++) await core.send("in/a", {});
    }
    let reads = 0;
    await using core = await Core.open({
      folder: folder.path,
      around: (read) => (reads++ === 0 ? Promise.reject(damaged()) : read()),
    });
    await core.deploy(counting);
    await core.send("in/a", {});
    await core.drained();
    expect(await core.bySubject()).toEqual({ a: [1, 2, 3, 4, 5, 6] });
    expect(reads).toBeGreaterThan(1);
  });

  it("keeps no version from taking over", async () => {
    await using core = await Core.temporary();
    const idempotency = { key: "data.id", windowMs: 3_600_000, entries: 100 };
    const versions = [1, 2].map((version) => functionOf({ version, idempotency, handler: "ctx.emit('seen', event.data.id);" }));
    await core.deploy(...versions.slice(0, 1));
    await core.send("in/a", { id: 1 });
    await core.drained();
    vi.spyOn(core.journal.state, "marks").mockRejectedValueOnce(damaged());
    await core.deploy(...versions.slice(1));
    for (const id of [1, 2]) await core.send("in/a", { id });
    await core.drained();
    expect((await core.events()).map(({ data, version }) => [data, version])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it("keeps no version from taking over that has idempotency keys to forget", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ version: 1, handler: "" }));
    vi.spyOn(core.journal, "dropMarks").mockRejectedValueOnce(damaged());
    await core.deploy(functionOf({ version: 2, handler: "ctx.emit('seen', 1);" }));
    await core.send("in/a", 1);
    await core.drained();
    expect((await core.events()).map(({ version }) => version)).toEqual([2]);
  });
});

describe("state that cannot be read for longer than a message may take", () => {
  it("is not the fault of the message", async () => {
    await using core = await Core.temporary();
    await core.deploy(counting);
    let fails = true;
    const { journal } = core;
    const load = journal.loadState.bind(journal);
    vi.spyOn(journal, "loadState").mockImplementation((name, key) => (fails ? Promise.reject(damaged()) : load(name, key)));
    const sent = core.send("in/a", {});
    await eventually(() => expect(core.stats("f").starts.count).toBeGreaterThan(1));
    fails = false;
    await sent;
    await core.drained();
    expect(core.stats("f")).toMatchObject({ handled: 1, failed: 0, deadLettered: 0 });
  });

  it.each(["loadState", "bytes"] as const)("does not keep a version from making way: %s", async (what) => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ ...PATIENT, version: 1 }));
    const { journal } = core;
    let reads = 0;
    const fail = (): Promise<never> => {
      reads++;
      return Promise.reject(damaged());
    };
    const spy = what === "bytes" ? vi.spyOn(journal.state, "bytes") : vi.spyOn(journal, "loadState");
    spy.mockImplementation(fail);
    for (let i = 0; i < 5; i++) await core.send("in/a", {});
    await eventually(() => expect(reads).toBeGreaterThan(1));
    const { target, bundle } = functionOf({ ...PATIENT, version: 2 });
    await core.runtime.deploy(target, bundle);
    spy.mockRestore();
    await core.drained();
    expect((await core.bySubject())["a"]).toEqual([1, 2, 3, 4, 5]);
    expect(new Set((await core.events()).map(({ version }) => version))).toEqual(new Set([2]));
  });
});

const PATIENT = {
  limits: { wallMs: 20_000 },
  handler: `const n = ((await ctx.state.get('n')) ?? 0) + 1; ctx.state.set('n', n); ctx.emit('count', n, { subject: event.params.k });`,
};
