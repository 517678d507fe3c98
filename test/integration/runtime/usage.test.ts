import { describe, expect, it } from "vitest";
import { totalOf } from "../../../src/core/histogram.ts";
import type { UsageStats } from "../../../src/core/usage.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";

function version(number: number): TestFunction {
  return functionOf({
    version: number,
    limits: { cpuMs: 50, memoryBytes: 64 * 2 ** 20 },
    retry: { attempts: 2 },
    handler: `
      if (event.data === 'throw') throw new Error('no');
      if (event.data === 'loop') for (;;);
      ctx.state.set('last', event.data);
      ctx.publish('out', 'x'.repeat(100));
      ctx.emit('seen', 'y'.repeat(50));`,
  });
}

/** That what is counted in different ways fits together. */
function consistent({ invocations, duration, cpu, gbSeconds }: UsageStats): void {
  expect(totalOf(duration)).toBe(invocations);
  expect(totalOf(cpu)).toBe(invocations);
  expect(cpu.sumMs).toBeLessThanOrEqual(duration.sumMs);
  expect(gbSeconds).toBeCloseTo((duration.sumMs / 1_000) * (64 / 1_024), 6);
}

const MINUTE = 60_000;
/** What is looked at rarely takes a while. */
const WITHIN = { timeout: 10_000 };

describe("What a version of a function takes", () => {
  it("is counted by tries, by kind of error and in bytes, and begins again with the next version", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1));
    expect(core.stats("f").usage).toMatchObject({ invocations: 0, errors: {}, heapBytes: 0 });

    for (let i = 0; i < 20; i++) await core.send("in/a", i);
    await core.send("in/b", '"throw"');
    await core.drained();
    const { usage } = core.stats("f");
    // The one that throws is tried twice.
    expect(usage).toMatchObject({ invocations: 22, errors: { FUNCTION_THREW: 2 }, retries: 1 });
    consistent(usage);
    expect(usage.heapBytes).toBeGreaterThan(100_000);
    expect(usage.bytesIn).toBeGreaterThan(22 * "in/a".length);
    // Each has 100 bytes to publish and, with quotes, 52 to emit.
    expect(usage.bytesOut).toBeGreaterThan(20 * 152);

    await core.send("in/c", '"loop"');
    await core.drained();
    const after = core.stats("f").usage;
    expect(after).toMatchObject({ invocations: 24, errors: { FUNCTION_THREW: 2, LIMIT_CPU: 2 }, retries: 2 });
    consistent(after);
    expect(after.cpu.sumMs).toBeGreaterThan(usage.cpu.sumMs);

    await core.deploy(version(2));
    expect(core.stats("f")).toMatchObject({ handled: 20, usage: { invocations: 0, errors: {}, bytesIn: 0, bytesOut: 0 } });
    await core.send("in/a", 1);
    await core.drained();
    expect(core.stats("f")).toMatchObject({ handled: 21, usage: { invocations: 1 } });
  });

  it("of its state is looked at when somebody asks", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1), functionOf({ name: "idle", triggers: ["idle/+k"], handler: "" }));
    for (let i = 0; i < 20; i++) await core.send(`in/${i}`, i);
    await core.drained();
    const bytes = await core.journal.state.bytes("f");
    expect(bytes).toBeGreaterThan(0);
    await eventually(() => {
      expect(core.stats("f").stateBytes).toBe(bytes);
      expect(core.stats("idle").stateBytes).toBe(0);
    }, WITHIN);
  });

  it("says since when the oldest message waits, whether it is queued or waits for its retry", async () => {
    await using core = await Core.temporary({ begin: false });
    const retry = { attempts: 1_000, minMs: 60_000, maxMs: 60_000 };
    const now = Date.now();
    await core.deploy(functionOf({ retry, handler: "if (event.data === 'throw') throw new Error('no');" }));
    expect(core.stats("f").oldestAgeMs).toBeUndefined();
    await core.send("in/a", '"throw"', { time: now - 20 * MINUTE });
    await core.send("in/b", "1", { time: now - 40 * MINUTE });
    await core.send("in/a", "2", { time: now });
    await eventually(() => expect(core.stats("f").backlog).toBe(3));
    expect(core.stats("f").oldestAgeMs).toBeGreaterThanOrEqual(40 * MINUTE);
    core.runtime.begin();
    await eventually(() => expect(core.stats("f")).toMatchObject({ handled: 1, failed: 1, backlog: 2 }));
    expect(core.stats("f").oldestAgeMs).toBeGreaterThanOrEqual(20 * MINUTE);
    expect(core.stats("f").oldestAgeMs).toBeLessThan(40 * MINUTE);
  });
});
