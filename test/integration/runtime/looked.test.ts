import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** More than may come in until a function writes down how far it has looked, and that bound. */
const OTHERS = 70_000;
const UNTOLD_MAX = 32_768;

const BUSY = functionOf({ name: "busy", triggers: ["busy/+k"], key: "k", handler: "" });
const QUIET = functionOf({ name: "quiet", triggers: ["quiet/+k"], key: "k", handler: "ctx.emit('answer', event.text);" });

async function fill(core: Core, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, n) => core.send(`busy/${n % 8}`, "x")));
}

async function frontOf(core: Core, name: string): Promise<number> {
  await core.journal.removeFunction("nobody"); // Written behind every commit so far.
  return (await core.journal.cursor(name))?.front ?? 0;
}

describe("a function that nothing is for", () => {
  it("writes down from time to time how far it has looked, also while an earlier message of its own waits", async () => {
    await using core = await Core.temporary({ begin: false });
    await core.deploy(BUSY, QUIET, functionOf({ name: "stuck", triggers: ["quiet/+k"], key: "k", handler: "throw new Error('no');" }));
    await core.send("quiet/a", "first");
    const first = core.journal.nextSeq - 1;
    core.runtime.begin();
    await eventually(() => expect(core.stats("quiet").handled).toBe(1));
    for (const name of ["busy", "quiet", "stuck"]) core.runtime.hold(name, true);
    await fill(core, OTHERS);
    expect(await frontOf(core, "quiet")).toBeGreaterThan(core.journal.nextSeq - UNTOLD_MAX - 1_024);
    // What is waiting is left where it is.
    expect((await core.journal.cursor("busy"))?.isDone(first + 1)).toBe(false);
    const stuck = await core.journal.cursor("stuck");
    expect([stuck?.floor === first || core.stats("stuck").deadLettered === 1, stuck?.end]).toEqual([true, await frontOf(core, "quiet")]);
  });

  it("begins where it was when the gateway stopped, and answers before the others are through with what they have waiting", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(BUSY, QUIET);
      for (const name of ["busy", "quiet"]) core.runtime.hold(name, true);
      await fill(core, 3_000);
    }
    const froms: number[] = [];
    await using core = await Core.open({
      folder: folder.path,
      begin: false,
      around: (read) =>
        read().then((messages) => {
          froms.push(messages[0]?.seq ?? Infinity);
          return messages;
        }),
    });
    expect(await frontOf(core, "quiet")).toBe(core.journal.nextSeq);
    await core.deploy(QUIET);
    core.runtime.begin();
    await core.send("quiet/a", "hello");
    await eventually(async () => expect((await core.events()).map(({ data }) => data)).toEqual(["hello"]));
    expect(Math.min(...froms)).toBeGreaterThanOrEqual(3_001);
  });

  it("writes down on the way how far it is when it has to look through much at once", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(BUSY, QUIET);
    }
    {
      await using core = await Core.open({ folder: folder.path, begin: false });
      await fill(core, OTHERS);
    }
    await using core = await Core.open({ folder: folder.path, begin: false });
    const before = await frontOf(core, "quiet");
    await core.deploy(BUSY, QUIET);
    await eventually(async () => expect(await frontOf(core, "quiet")).toBe(core.journal.nextSeq));
    expect(core.journal.nextSeq - before).toBe(OTHERS);
    expect(core.stats("busy").handled).toBe(0);
  });
});
