import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

const BUSY = 12;
const EACH = 100;

/** Work that takes a good part of a millisecond. */
const WORK = "let v = 1; for (let turn = 0; turn < 50_000; turn++) v = (v * 1.0001) % 1000; ctx.emit('done', v);";

function busy(n: number): ReturnType<typeof functionOf> {
  return functionOf({ name: `busy-${n}`, triggers: [`busy/${n}/+`], handler: WORK, limits: { cpuMs: 1_000 } });
}

describe("a function whose message comes behind full backlogs of others", () => {
  it("handles it long before those are handled", async () => {
    await using core = await Core.temporary({ begin: false });
    for (let n = 0; n < BUSY; n++) await core.deploy(busy(n));
    await core.deploy(functionOf({ name: "quiet", triggers: ["quiet/+"], handler: "ctx.emit('quiet', 1);" }));
    const sent = Array.from({ length: EACH }, (_, i) => Array.from({ length: BUSY }, (_unused, n) => core.send(`busy/${n}/k${i % 8}`, i)));
    await Promise.all(sent.flat());
    await core.send("quiet/k", 1);
    core.runtime.begin();
    await core.drained(60_000);
    // Events are in the order in which they were committed.
    const order = (await core.events()).map(({ type }) => type);
    expect(order).toHaveLength(BUSY * EACH + 1);
    expect(order.indexOf("quiet")).toBeLessThan((BUSY * EACH) / 4);
  });

  it("is not behind what they have in the journal after a start either", async () => {
    await using core = await Core.temporary({ begin: false, pendingMax: 64 });
    for (let n = 0; n < BUSY; n++) await core.deploy(busy(n));
    await core.deploy(functionOf({ name: "quiet", triggers: ["quiet/+"], handler: "ctx.emit('quiet', 1);" }));
    const sent = Array.from({ length: EACH * BUSY }, (_, i) => core.send(`busy/${i % BUSY}/k${i % 8}`, i));
    await Promise.all(sent);
    await core.send("quiet/k", 1);
    core.runtime.begin();
    await core.drained(60_000);
    const order = (await core.events()).map(({ type }) => type);
    expect(order).toHaveLength(BUSY * EACH + 1);
    expect(order.indexOf("quiet")).toBeLessThan((BUSY * EACH) / 4);
  });
});
