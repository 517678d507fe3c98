import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";

/** Its first message waits for a retry that does not come while the test runs; ten keys, the messages of which are numbered. */
const stuck = (overflow: NonNullable<FunctionPlan["overflow"]>): FunctionPlan => ({
  overflow,
  retry: { attempts: 2, minMs: 3_600_000, maxMs: 3_600_000 },
  handler: `if (!event.data.ok) throw new Error('no'); ctx.emit('seen', event.data.n, { subject: event.params.k });`,
});

/** Every key fails with its first message; the others have to wait. */
async function fill(core: Core, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, n) => core.send(`in/k${n % 10}`, { n, ok: n >= 10 })));
  await eventually(() => expect(core.stats("f").retried).toBe(10));
}

const dropped = (core: Core): number => core.drops.all().find(({ reason }) => reason === "journal-overflow")?.count ?? 0;

describe.each([16, 8_192])("when the journal is full, a function with room for %i messages", (pendingMax) => {
  it("and drop-oldest loses what is below the floor, and handles the rest in order", async () => {
    await using core = await Core.temporary({ pendingMax });
    await core.deploy(functionOf(stuck("drop-oldest")));
    await fill(core, 300);
    core.runtime.shed({ over: true, floor: 101 });
    await core.drained();
    expect(dropped(core)).toBe(100);
    expect((await core.events()).map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 101));
    for (const numbers of Object.values(await core.bySubject())) {
      expect(numbers).toEqual(numbers.toSorted((a, b) => Number(a) - Number(b)));
    }
    core.runtime.shed({ over: false });
    expect((await core.journal.cursor("f"))?.floor).toBe(301);
  });

  it("and keep-latest keeps the newest of each key", async () => {
    await using core = await Core.temporary({ pendingMax });
    await core.deploy(functionOf(stuck("keep-latest")));
    await fill(core, 300);
    core.runtime.shed({ over: true, floor: 101 });
    await core.drained();
    expect(dropped(core)).toBe(290);
    expect((await core.events()).map(({ data }) => data).toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 10 }, (_, i) => i + 290),
    );
  });
});

describe("when the journal is full, a function", () => {
  it.each(["strict", "relaxed"] as const)(
    "with drop-oldest and %s order loses also what was under way and fails only then",
    async (order) => {
      await using core = await Core.temporary();
      await core.deploy(functionOf({ ...stuck("drop-oldest"), order }));
      await core.send("in/k0", { n: -1, ok: true });
      await core.drained(); // From here on messages are handed on as they come.
      core.journal.subscribe({
        incoming: (messages) => {
          core.runtime.accept(messages);
          core.runtime.shed({ over: true, floor: 12 });
        },
        publishes: () => undefined,
      });
      await Promise.all(Array.from({ length: 20 }, (_, n) => core.send(`in/k${n % 2}`, { n, ok: n >= 2 })));
      await core.drained();
      expect(core.stats("f").retried).toBe(2);
      expect(dropped(core) + (await core.events()).length).toBe(21);
      expect(dropped(core)).toBeGreaterThanOrEqual(2);
      expect((await core.journal.cursor("f"))?.floor).toBe(22);
    },
  );

  it("with block loses nothing", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf(stuck("block")));
    await fill(core, 100);
    core.runtime.shed({ over: true, floor: 90 });
    expect(dropped(core)).toBe(0);
    expect(core.runtime.floor).toBe(1);
  });

  it("that takes over meanwhile drops too", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf(stuck("drop-oldest")));
    await fill(core, 100);
    core.runtime.shed({ over: true, floor: 51 });
    await core.drained();
    expect(dropped(core)).toBe(50);
    await core.deploy(functionOf({ ...stuck("block"), version: 2 }));
    await Promise.all(Array.from({ length: 100 }, (_, n) => core.send(`in/k${n % 10}`, { n, ok: n >= 10 })));
    await eventually(() => expect(core.stats("f").backlog).toBe(100));
    core.runtime.shed({ over: true, floor: 151 });
    await core.deploy(functionOf({ ...stuck("drop-oldest"), version: 3 }));
    await core.drained();
    expect(dropped(core)).toBe(100);
  });

  it("with drop-newest is not woken by new messages, as long as nobody else wants them", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ overflow: "drop-newest", handler: "" }), functionOf({ name: "g", triggers: ["in/both"], handler: "" }));
    core.runtime.shed({ over: true, floor: 1 });
    expect(["in/a", "in/both", "other"].map((topic) => core.runtime.matches(topic))).toEqual(["none", "durable", "none"]);
    expect(dropped(core)).toBe(1);
    core.runtime.shed({ over: false });
    expect(core.runtime.matches("in/a")).toBe("durable");
  });
});
