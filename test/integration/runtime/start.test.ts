import type ivm from "isolated-vm";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { BATCH, engineWith, LIMITS, SPEC, WAYS } from "../../support/engine.ts";

/** Every isolate that the engine has made, with its memory limit. */
const { made } = vi.hoisted(() => ({ made: [] as { isolate: ivm.Isolate; limit: number | undefined }[] }));
vi.mock(import("isolated-vm"), async (original) => {
  const { default: real } = await original();
  const Isolate = new Proxy(real.Isolate, {
    construct(target, [options]: [ivm.IsolateOptions?]) {
      const isolate = new target(options);
      made.push({ isolate, limit: options?.memoryLimit });
      return isolate;
    },
  });
  return { default: Object.create(real, { Isolate: { value: Isolate } }) as typeof real };
});
const alive = (): ivm.Isolate[] => made.map(({ isolate }) => isolate).filter((isolate) => !isolate.isDisposed);

beforeEach(() => {
  made.length = 0;
});

describe("starting functions", () => {
  it("takes isolates that were made ahead, and makes others when there is none", async () => {
    using engine = engineWith(() => true);
    await eventually(() => expect(engine.ready).toBe(1));
    const [first, second] = await Promise.all([engine.create(SPEC, WAYS), engine.create(SPEC, WAYS)]);
    expect([first.started.pooled, second.started.pooled]).toEqual([true, false]);
    // Two were asked for at once, so next time more are ready.
    await eventually(() => expect(engine.ready).toBe(3));
    const third = await engine.create(SPEC, WAYS);
    expect(third.started.pooled).toBe(true);
    for (const instance of [first, second, third]) {
      expect(await instance.run(BATCH, LIMITS)).toMatchObject({ done: true });
      instance.dispose();
    }
  });

  it("with a memory limit of their own makes isolates with that limit", async () => {
    using engine = engineWith(() => true);
    await eventually(() => expect(engine.ready).toBe(1));
    const instance = await engine.create({ ...SPEC, memoryBytes: 64 * 2 ** 20 }, WAYS);
    expect(instance.started.pooled).toBe(false);
    expect(engine.ready).toBe(1);
    expect(made.map(({ limit }) => limit)).toEqual([32, 64]);
    instance.dispose();
    expect(alive().length).toBe(1);
  });

  it("makes nothing ahead while there is something to do", async () => {
    const quiet = vi.fn<() => boolean>(() => false);
    using engine = engineWith(quiet);
    await eventually(() => expect(quiet.mock.calls.length).toBeGreaterThan(3));
    expect([made.length, engine.ready]).toEqual([0, 0]);
    quiet.mockReturnValue(true);
    await eventually(() => expect(engine.ready).toBe(1));
  });

  it("leaves nothing behind when they end: isolates and handles are counted", async () => {
    const engine = engineWith(() => true);
    const handles = new Set<number>();
    const failing = { ...SPEC, code: "throw new Error('no')" };
    let cuts = 0;
    for (let round = 0; round < 100; round++) {
      const [kept, cut, refused] = await Promise.allSettled([
        engine.create(SPEC, WAYS),
        engine.create({ ...SPEC, code: "var __millrace = { default: { handler() { for (;;); } } };" }, WAYS),
        engine.create(failing, WAYS),
      ]);
      if (kept.status === "rejected" || cut.status === "rejected") throw new Error("a function did not start");
      expect(refused.status).toBe("rejected");
      expect(await kept.value.run(BATCH, LIMITS)).toMatchObject({ done: true });
      const outcome = round % 20 === 0 ? await cut.value.run(BATCH, { timeoutMs: 20, wallMs: 1_000 }) : undefined;
      cuts += outcome?.done === false ? 1 : 0;
      cut.value.dispose();
      expect(alive().length).toBeLessThanOrEqual(1 + engine.ready + 1);
      const own = alive().map((isolate) => isolate.referenceCount);
      handles.add(Math.max(...own));
      kept.value.dispose();
    }
    expect(cuts).toBe(5);
    // The functions of the guest, its ways to the host and the context of each.
    expect(Math.max(...handles)).toBeLessThanOrEqual(18);
    engine[Symbol.dispose]();
    await eventually(() => expect(alive().length).toBe(0));
    expect(made.length).toBeGreaterThanOrEqual(300);
  });
});
