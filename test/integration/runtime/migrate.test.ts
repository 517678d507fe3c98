import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../../src/core/message.ts";
import { HostPool } from "../../../src/runtime/hosts.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { Rehearsal } from "../../../src/runtime/rehearsal.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf, type TestFunction } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const CRASH = "'x'.repeat(2 ** 29 - 24).split('');";

/** Counts for each key and over all of them, under names that say which version of the state it is. */
function counting(stateVersion: number, more: Partial<FunctionPlan> = {}): TestFunction {
  return functionOf({
    version: stateVersion,
    stateVersion,
    retry: { attempts: 2, minMs: 1, maxMs: 20 },
    migrate: `
      if (ctx.key === 'bad') throw new Error('cannot read it');
      return new Map([...entries].map(([name, n]) => [name.replace(String(from), String(ctx.to)), n]));`,
    handler: `
      const name = 'count' + ${stateVersion};
      const own = ((await ctx.state.get(name)) ?? 0) + 1;
      const all = ((await ctx.state.shared.get(name)) ?? 0) + 1;
      ctx.state.set(name, own);
      ctx.state.shared.set(name, all);
      if (event.data.fails >= event.attempt) throw new Error('told to');
      if (event.data.kills && event.attempt === 1) { ${CRASH} }
      ctx.emit('count', [own, all], { subject: event.params.k });`,
    ...more,
  });
}

async function stored(core: Core, key: string): Promise<Record<string, unknown>> {
  const values = await core.journal.loadState("f", key);
  return Object.fromEntries(values.map(({ name, value }) => [name, JSON.parse(value.toString()) as unknown]));
}

describe("a version that has changed the shape of the state", () => {
  it(
    "brings every key along once, through failures, the end of hosts, restarts and versions that are skipped",
    { timeout: 180_000 },
    async () => {
      await using folder = await TempFolder.make();
      const keys = 20;
      let sent = 0;
      // Each key is sent to in each version but some in the second.
      for (const version of [1, 2, 3]) {
        await using core = await Core.open({ folder: folder.path });
        await core.deploy(counting(version));
        const wanted = Array.from({ length: 5 * keys }, (_, n) => n).filter((n) => version !== 2 || n % 3 === 0);
        sent += wanted.length;
        await Promise.all(
          wanted.map((n) => core.send(`in/k${n % keys}`, { fails: n % 7 === 0 ? 1 : 0, kills: version === 2 && n === 30 })),
        );
        await core.drained(80_000);
        const counts = (await core.events("count")).map(({ data }) => (data as [number, number])[1]);
        expect(counts).toEqual(Array.from({ length: sent }, (_, n) => n + 1));
        expect(await core.deadLetters()).toEqual([]);
      }
      await using core = await Core.open({ folder: folder.path });
      const own = await Promise.all(Array.from({ length: keys }, (_, n) => stored(core, `k${n}`)));
      expect(own.every((values) => Object.keys(values).join() === ",count3" && values[""] === 3)).toBe(true);
      expect(own.reduce((sum, values) => sum + Number(values["count3"]), 0)).toBe(sent);
      expect(await stored(core, "")).toEqual({ "": 3, count3: sent });
    },
  );

  it("gives up the messages of a key that it cannot bring along, and goes on with the others", async () => {
    await using core = await Core.temporary();
    await core.deploy(counting(1));
    for (const key of ["bad", "good"]) await core.send(`in/${key}`, {});
    await core.drained();
    await core.deploy(counting(2));
    for (const key of ["bad", "good", "bad", "good"]) await core.send(`in/${key}`, {});
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([1, 2].map(() => ({ attempts: 2, error: expect.stringContaining("cannot read it") })));
    expect(await stored(core, "bad")).toEqual({ count1: 1 });
    expect(await stored(core, "good")).toEqual({ "": 2, count2: 3 });
    expect((await core.events("count")).map(({ subject }) => subject)).toEqual(["bad", "good", "good", "good"]);
  });

  it("is not followed by one that does not know the shape, also after a restart", async () => {
    await using folder = await TempFolder.make();
    const late = { version: 9, handler: "ctx.emit('late', await ctx.state.get('count2'));" };
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(counting(2));
      await core.send("in/a", {});
      await core.drained();
      await expect(core.deploy(counting(1, { version: 9 }))).rejects.toMatchObject({
        code: "STATE_NEWER",
        message: expect.stringMatching(
          /version 2 of "f" has brought its state to version 2, .*`state: \{version: 1\}`; publish a version with/,
        ),
      });
      expect(core.stats("f").version).toBe(2);
    }
    await using core = await Core.open({ folder: folder.path });
    await expect(core.deploy(functionOf(late))).rejects.toMatchObject({ code: "STATE_NEWER" });
    await core.deploy(functionOf({ ...late, stateVersion: 2, migrate: "return entries;" }));
    await core.send("in/a", {});
    await core.drained();
    expect((await core.events("late")).map(({ data }) => data)).toEqual([1]);
  });

  it("leaves keys that older code gives up at once, untouched, when it has been forgotten that it was there", async () => {
    await using core = await Core.temporary();
    await core.deploy(counting(2));
    await core.send("in/a", {});
    await core.drained();
    await core.runtime.remove("f");
    await core.deploy(functionOf({ version: 9, handler: "ctx.state.set('count1', 1);" }));
    for (const key of ["a", "b"]) await core.send(`in/${key}`, {});
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([{ topic: "in/a", code: "STATE_NEWER", attempts: 1 }]);
    expect([await stored(core, "a"), await stored(core, "b")]).toEqual([{ "": 2, count2: 1 }, { count1: 1 }]);
  });

  it("wakes nobody with its mark, and with the values that it has changed as with others", async () => {
    await using core = await Core.temporary();
    const watching = functionOf({ version: 3, triggers: [], also: [{ state: "*" }], handler: "ctx.emit('woken', event.data.name);" });
    const both = (version: number): TestFunction =>
      counting(version, {
        also: watching.bundle.manifest.triggers,
        handler: `
      if (event.type === 'state') return ctx.emit('woken', event.data.name);
      ctx.state.set('count' + ${version}, 1);`,
      });
    await core.deploy(both(1));
    await core.send("in/a", {});
    await core.drained();
    await core.deploy(both(2));
    await core.send("in/a", {});
    await core.drained();
    expect((await core.events("woken")).map(({ data }) => data)).toEqual(["count1", "count2", "count1"]);
  });

  it("is rehearsed with the state that there is, of which nothing changes", async () => {
    await using core = await Core.temporary();
    await core.deploy(counting(1));
    await core.send("in/a", {});
    await core.drained();
    const hosts = new HostPool({ shared: 1, spare: false }, silentLogger);
    try {
      const state = (key: string): Promise<readonly { name: string; value: Buffer }[]> => core.journal.loadState("f", key);
      await using rehearsal = await Rehearsal.open(counting(2).bundle, { hosts, gateway: "g", version: 2, state });
      const [message] = await core.journal.read(1, 1);
      if (message === undefined) throw new Error("nothing was journaled");
      const { seq, record } = message;
      for (const count of [2, 3]) {
        const found = await rehearsal.handle({ ...decodeMessage(record), seq });
        expect(found?.ok).toBe(true);
        expect(found?.events).toMatchObject([{ data: [count, count] }]);
        expect(found?.state.map(({ key, name }) => `${key}/${name}`)).not.toContain("a/");
      }
    } finally {
      await hosts.close();
    }
    expect(await stored(core, "a")).toEqual({ count1: 1 });
  });
});
