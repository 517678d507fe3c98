import ivm from "isolated-vm";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Blank } from "../../../src/runtime/host/blank.ts";
import { BlankPool } from "../../../src/runtime/host/blank-pool.ts";
import { Port } from "../../../src/runtime/host/port.ts";

/** Makes isolates that hold nothing; those that are made ahead are ready when the test says so. */
class Maker {
  readonly made: Blank[] = [];
  readonly begun: PromiseWithResolvers<Blank>[] = [];
  isInstant = false;

  now(memoryMb: number): Blank {
    const isolate = new ivm.Isolate({ memoryLimit: memoryMb });
    const context = isolate.createContextSync();
    const blank = { isolate, context, port: new Port(), create: context.global, collect: context.global };
    this.made.push(blank);
    return blank;
  }

  ahead(memoryMb: number): Promise<Blank> {
    if (this.isInstant) return Promise.resolve(this.now(memoryMb));
    const made = Promise.withResolvers<Blank>();
    this.begun.push(made);
    return made.promise;
  }

  async finish(memoryMb: number): Promise<Blank> {
    const blank = this.now(memoryMb);
    this.begun.shift()?.resolve(blank);
    await vi.advanceTimersByTimeAsync(0);
    return blank;
  }
}

let maker: Maker;
beforeEach(() => {
  vi.useFakeTimers();
  maker = new Maker();
});
afterEach(() => {
  vi.useRealTimers();
  for (const { isolate } of maker.made) if (!isolate.isDisposed) isolate.dispose();
});

const poolWith = (quiet: () => boolean): BlankPool => new BlankPool({ maker, quiet });

describe("isolates that are made ahead", () => {
  it("are handed out once they are ready, and made again", async () => {
    using pool = poolWith(() => true);
    await vi.advanceTimersByTimeAsync(20);
    const ready = await maker.finish(32);
    expect(pool.size).toBe(1);
    expect(pool.take(32)).toEqual({ blank: ready, pooled: true });
    expect(pool.size).toBe(0);
    await vi.advanceTimersByTimeAsync(20);
    expect(maker.begun).toHaveLength(1);
  });

  it("go to whoever comes while they are being made, and to nobody else", async () => {
    using pool = poolWith(() => true);
    await vi.advanceTimersByTimeAsync(20);
    const first = pool.take(32);
    expect(maker.made).toHaveLength(0);
    const second = pool.take(32);
    expect(second).toEqual({ blank: maker.made[0], pooled: false });
    const made = await maker.finish(32);
    expect(await first.blank).toBe(made);
    expect([first.pooled, pool.size]).toEqual([false, 0]);
  });

  it("are not waited for by who needs another size", async () => {
    using pool = poolWith(() => true);
    await vi.advanceTimersByTimeAsync(20);
    expect(pool.take(64).blank).toBe(maker.made[0]);
  });

  it("are there for another size that is used, and are given up when it is not used any more", async () => {
    using pool = poolWith(() => true);
    await vi.advanceTimersByTimeAsync(20);
    await maker.finish(32);
    maker.isInstant = true;
    for (let n = 0; n < 2; n++) expect(pool.take(64).pooled).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(pool.size).toBeGreaterThan(1);
    expect(pool.take(64).pooled).toBe(true);
    await vi.advanceTimersByTimeAsync(700_000);
    expect(pool.size).toBe(1);
    expect(pool.take(64).pooled).toBe(false);
  });

  it("are made at once when one is missing while there were too many", async () => {
    using pool = poolWith(() => true);
    maker.isInstant = true;
    for (let n = 0; n < 3; n++) pool.take(32);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(pool.size).toBe(4);
    while (pool.size > 0) pool.take(32);
    await vi.advanceTimersByTimeAsync(20);
    expect(pool.size).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(pool.size).toBe(1);
  });

  it("are not begun while somebody waits for the host, and end with the pool", async () => {
    let quiet = false;
    const pool = poolWith(() => quiet);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(maker.begun).toHaveLength(0);
    quiet = true;
    await vi.advanceTimersByTimeAsync(20);
    expect(maker.begun).toHaveLength(1);
    pool[Symbol.dispose]();
    expect((await maker.finish(32)).isolate.isDisposed).toBe(true);
  });
});
