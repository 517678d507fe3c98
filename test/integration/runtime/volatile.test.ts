import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const telemetry: FunctionPlan = {
  triggers: ["in/+k", "raw/+k"],
  volatile: ["raw/+k"],
  key: "k",
  handler: `ctx.emit('seen', event.data.n, { subject: event.params.k });`,
};

async function sendVolatile(core: Core, from: number, to: number): Promise<void> {
  await Promise.all(Array.from({ length: to - from }, (_, i) => core.send("raw/a", { n: from + i }, {}, { volatile: true })));
}

describe("a trigger that is not durable", () => {
  it("tells what its messages wake; a durable trigger beside it makes them durable", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf(telemetry));
    expect(["raw/a", "in/a", "other"].map((topic) => core.runtime.matches(topic))).toEqual(["volatile", "durable", "none"]);
    await core.deploy(functionOf({ name: "g", triggers: ["raw/#"], handler: "" }));
    expect(core.runtime.matches("raw/a")).toBe("durable");
  });

  it("has its messages handled in order with the others, without any of them in the journal, and ids that are never used twice", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(functionOf(telemetry));
      for (let n = 0; n < 300; n += 3) {
        await Promise.all([core.send("in/a", { n }), sendVolatile(core, n + 1, n + 2), core.send("in/a", { n: n + 2 })]);
      }
      await core.drained();
      expect((await core.events()).map(({ data }) => data).toSorted((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: 300 }, (_, n) => n),
      );
      const read = await core.journal.read(1, 1_000);
      expect(read.map(({ topic }) => topic)).toEqual(Array.from({ length: 200 }, () => "in/a"));
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(functionOf(telemetry));
    await sendVolatile(core, 300, 310);
    await core.drained();
    const ids = (await core.events()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(310);
  });

  it("loses what comes while the function is behind, and says how much", async () => {
    await using core = await Core.temporary({ pendingMax: 10 });
    await core.deploy(
      functionOf({ ...telemetry, limits: { cpuMs: 2_000 }, handler: `for (let i = 0; i < 3e6; i++) Math.sqrt(i); ${telemetry.handler}` }),
    );
    await sendVolatile(core, 0, 500);
    await core.drained();
    const handled = (await core.events()).length;
    const dropped = core.drops.all().find(({ reason }) => reason === "volatile-behind");
    expect(dropped?.function).toBe("f");
    expect(handled).toBeGreaterThanOrEqual(10);
    expect(handled + (dropped?.count ?? 0)).toBe(500);
  });

  it("is not behind for good only because messages come without a pause", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ ...telemetry, version: 1 }));
    const feeding = { on: true, sent: 0 };
    const feeders = Array.from({ length: 20 }, async () => {
      while (feeding.on) {
        await core.send("in/b", { n: feeding.sent });
        feeding.sent++;
      }
    });
    await eventually(() => expect(feeding.sent).toBeGreaterThan(200));
    await core.deploy(functionOf({ ...telemetry, version: 2 }));
    // The new version starts from the journal; it has to meet what is being written while more is written all the time.
    await eventually(async () => {
      await core.send("raw/v", { n: -1 }, {}, { volatile: true });
      expect((await core.bySubject())["v"]?.length ?? 0).toBeGreaterThan(0);
    });
    feeding.on = false;
    await Promise.all(feeders);
    await core.drained();
    expect((await core.bySubject())["b"]?.length).toBe(feeding.sent);
  });

  it("keeps a failed message for its retry, and gives it up into the dead letters", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ ...telemetry, handler: `throw new Error('no');` }));
    await sendVolatile(core, 0, 1);
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([{ attempts: 3, topic: "raw/a" }]);
  });
});
