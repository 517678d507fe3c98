import { expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";

/** With a memory limit of its own, so that no isolate is ready. */
function version(number: number): TestFunction {
  return functionOf({ version: number, limits: { memoryBytes: (33 + number) * 2 ** 20 }, handler: `/* ${"x".repeat(5_000)} */` });
}

it("Starts of a function are counted and say where their time went, also after its next version has taken over", async () => {
  await using core = await Core.temporary();
  await core.deploy(version(1));
  const first = core.stats("f").starts;
  expect(first).toMatchObject({ count: 1, pooled: 0 });
  for (const ms of [first.isolateMs, first.compileMs, first.initMs]) expect(ms).toBeGreaterThan(0);

  await core.deploy(version(2), version(3));
  const third = core.stats("f").starts;
  // Machine code is made when a code comes for the second time.
  expect(third).toMatchObject({ count: 3, pooled: 0, cached: 1 });
  expect(third.isolateMs).toBeGreaterThan(first.isolateMs);

  expect(third.firstCalls).toBe(0);
  await core.send("in/a", 1);
  await core.send("in/a", 2);
  await core.drained();
  expect(core.stats("f").starts).toMatchObject({ count: 3, firstCalls: 1 });
  expect(core.stats("f").starts.firstCallMs).toBeGreaterThan(0);

  await core.runtime
    .deploy({ name: "broken", version: 1, digest: "ab" }, functionOf({ name: "broken", prelude: "throw 1;", handler: "" }).bundle)
    .catch(() => undefined);
  expect(core.stats("broken").starts).toMatchObject({ count: 0, initMs: 0 });
});
