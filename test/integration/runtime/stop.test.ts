import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

describe("stopping", () => {
  it("ends soon also while a handler never settles, one waits for its retry and a version is being warmed", async () => {
    const core = await Core.temporary();
    await core.deploy(
      functionOf({ name: "stuck", handler: "await new Promise(() => undefined)", limits: { wallMs: 60_000 } }),
      functionOf({ name: "failing", handler: "throw new Error('no')", retry: { attempts: 100, minMs: 60_000, maxMs: 60_000 } }),
    );
    await core.send("in/k", 1);
    await eventually(() => expect(core.stats("failing").retried).toBe(1));
    const slow = functionOf({ name: "slow", handler: "", prelude: "const end = Date.now() + 1500; while (Date.now() < end)" });
    const deploying = core.runtime.deploy(slow.target, slow.bundle).catch((error: unknown) => error);
    const startedAt = performance.now();
    await core[Symbol.asyncDispose]();
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    void deploying; // Its host is gone, and so is whoever would wait for it.
  });

  it("twice is as good as once, and nothing is taken afterwards", async () => {
    await using core = await Core.temporary();
    const counting = functionOf({ handler: "ctx.emit('seen', event.data)" });
    await core.deploy(counting);
    await Promise.all([core.runtime.close(), core.runtime.close()]);
    await core.send("in/k", 1); // The journal goes on until it is closed.
    await core.runtime.close();
    expect(await core.events()).toEqual([]);
  });

  it("in the middle of a switch leaves a journal from which either version goes on", async () => {
    await using folder = await TempFolder.make();
    const versions = [1, 2, 3, 4].map((version) => functionOf({ version, handler: `ctx.emit('seen', event.data); // ${version}` }));
    let sent = 0;
    for (const next of versions) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(versions[0] ?? next);
      for (let i = 0; i < 50; i++) void core.send("in/k", sent++);
      const { target, bundle } = next;
      const switching = core.runtime.deploy(target, bundle).catch((error: unknown) => error);
      await Promise.race([switching, new Promise((resolve) => setImmediate(resolve))]);
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(versions[3] ?? functionOf({ handler: "" }));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(Array.from({ length: sent }, (_, i) => i));
  });
});
