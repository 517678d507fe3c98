import { describe, expect, it } from "vitest";
import { SHARED_KEY } from "../../../src/core/state-value.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const CRASH = "'x'.repeat(2 ** 29 - 24).split('');";

/** Counts over all keys and for each of them; some messages fail at first, some take the host process with them. */
const counting = (version: number): ReturnType<typeof functionOf> =>
  functionOf({
    version,
    prelude: `/* ${version} */`,
    limits: { cpuMs: 5_000 },
    retry: { attempts: 2, minMs: 1, maxMs: 20 },
    handler: `
      const { shared } = ctx.state;
      const total = ((await shared.get('total')) ?? 0) + 1;
      const own = ((await ctx.state.get('own')) ?? 0) + 1;
      shared.set('total', total);
      ctx.state.set('own', own);
      if (event.data.fails >= event.attempt) throw new Error('told to');
      if (event.data.kills) { ${CRASH} }
      ctx.emit('total', [total, own], { subject: event.params.k });`,
  });

async function stored(core: Core, key: string): Promise<unknown[]> {
  return (await core.journal.loadState("f", key)).map(({ value }) => JSON.parse(value.toString()) as unknown);
}

describe("shared state", () => {
  it(
    "counts every message of every key once, through failures, the end of hosts, new versions and restarts",
    { timeout: 180_000 },
    async () => {
      await using folder = await TempFolder.make();
      const keys = 20;
      for (const version of [1, 2]) {
        await using core = await Core.open({ folder: folder.path });
        for (const part of [0, 1]) {
          await core.deploy(counting(version + part));
          await Promise.all(
            Array.from({ length: 200 }, (_, n) =>
              core.send(`in/k${n % keys}`, { fails: n % 7 === 0 ? 1 : 0, kills: version === 1 && part === 0 && n === 50 }),
            ),
          );
        }
        await core.drained(80_000);
      }
      await using core = await Core.open({ folder: folder.path });
      const dead = (await core.deadLetters()).length;
      const counts = (await core.events("total")).map(({ data }) => (data as [number, number])[0]);
      const total = 800 - dead;
      expect(dead).toBe(1);
      expect(counts).toEqual(Array.from({ length: total }, (_, n) => n + 1));
      expect(await stored(core, SHARED_KEY)).toEqual([total]);
      const own = await Promise.all(Array.from({ length: keys }, (_, n) => stored(core, `k${n}`)));
      expect(own.flat().reduce((sum: number, count) => sum + Number(count), 0)).toBe(total);
    },
  );

  it("counts towards limits.state together with that of the key", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        limits: { stateBytes: 10_000 },
        handler: `ctx.state.shared.set('s', 'x'.repeat(event.data)); ctx.state.set('o', 'x'.repeat(event.data)); ctx.emit('kept', 1);`,
      }),
    );
    for (const size of [4_900, 5_100, 4_000]) await core.send("in/a", size);
    await core.drained();
    expect((await core.deadLetters()).map(({ code }) => code)).toEqual(["LIMIT_STATE"]);
    expect(await core.journal.state.bytes("f")).toBe(2 * 4_002 + "a".length + "o".length + "s".length);
  });

  it("is refused for good, with the remedy, where several isolates handle the keys", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ concurrency: 2, handler: "await ctx.state.shared.get('x');" }));
    await core.send("in/a", 1);
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([
      { code: "STATE_NOT_SHARED", attempts: 1, error: expect.stringContaining("concurrency: 1") },
    ]);
  });
});
