import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HostRoom, type Tenant } from "../../../src/runtime/host-room.ts";

const MB = 2 ** 20;
const BARE = 50 * MB;
const EACH = 1.5 * MB;

/** A host of 250 MB whose instances take 1.5 MB each, which it does not give back but uses again. */
class World {
  readonly present: TestTenant[] = [];
  /** In the order in which they went. */
  readonly gone: string[] = [];
  /** What the instances take beyond their making. */
  extra = 0;
  evicted = 0;
  #peak = 0;
  readonly room = new HostRoom({ memoryMax: 250 * MB, bytes: () => this.bytes, evicted: () => void this.evicted++ });

  constructor() {
    this.room.open();
  }

  get bytes(): number {
    this.#peak = Math.max(this.#peak, this.present.length);
    return BARE + this.#peak * EACH + this.extra;
  }

  come(name: string, about: { kept?: boolean; usedAt?: number; busy?: boolean } = {}): Promise<boolean> | undefined {
    const tenant = new TestTenant(this, name, about);
    const entering = this.room.enter(tenant);
    if (entering === undefined) this.#make(tenant);
    return entering?.then((inside) => {
      if (inside) this.#make(tenant);
      return inside;
    });
  }

  /** Busy ones until one has to wait, which is "late". */
  fill(): Promise<boolean> {
    for (let entering = this.come("busy", { busy: true }); ; entering = this.come("late", { busy: true })) {
      if (entering !== undefined) return entering;
    }
  }

  #make(tenant: TestTenant): void {
    this.present.push(tenant);
    this.room.made();
  }

  leave(tenant: TestTenant): void {
    this.present.splice(this.present.indexOf(tenant), 1);
    this.gone.push(tenant.name);
    this.room.leave(tenant);
  }
}

class TestTenant implements Tenant {
  readonly name: string;
  readonly deadlines: number[];
  readonly usedAt: number;
  readonly #world: World;
  readonly #kept: boolean;

  constructor(world: World, name: string, { kept = false, usedAt = 0, busy = false }: { kept?: boolean; usedAt?: number; busy?: boolean }) {
    this.#world = world;
    this.name = name;
    this.usedAt = usedAt;
    this.deadlines = busy ? [1] : [];
    this.#kept = kept;
  }

  giveUp(evenKept: boolean): boolean {
    if (this.#kept && !evenKept) return false;
    this.#world.leave(this);
    return true;
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
afterEach(() => void vi.useRealTimers());

describe("the room in a host", () => {
  it("is most of its memory; then whoever comes takes the place of who was used longest ago, and memory does not grow", () => {
    const world = new World();
    for (let n = 0; n < 92; n++) expect(world.come(`${n}`, { usedAt: 1_000 - n })).toBeUndefined();
    expect(world.gone).toEqual([]);
    for (let n = 92; n < 1_000; n++) expect(world.come(`${n}`, { usedAt: 2_000 + n })).toBeUndefined();
    expect(world.gone[0]).toMatch(/^9\d$/);
    expect(world.present.length).toBeGreaterThan(80);
    expect(world.bytes).toBeLessThan(BARE + 0.8 * 200 * MB);
  });

  it("is taken first from those that were never used, and from those that are kept warm only when there are no others", () => {
    const world = new World();
    for (let n = 0; n < 70; n++) void world.come(`kept ${n}`, { kept: true, usedAt: 5 });
    for (let n = 0; n < 10; n++) void world.come(`used ${n}`, { usedAt: 10 });
    void world.come("tried out");
    while (world.gone.length === 0) void world.come("last", { usedAt: 20 });
    expect(world.gone).toEqual(["tried out", ...Array.from({ length: 7 }, (_, n) => `used ${n}`)]);
    expect(world.evicted).toBe(8);
    const warm = new World();
    for (let n = 0; n < 100; n++) void warm.come(`kept ${n}`, { kept: true, usedAt: n });
    expect(warm.gone.slice(0, 2)).toEqual(["kept 0", "kept 1"]);
  });

  it("is waited for while all are busy, for as long as it takes when nearly all of the memory is in use", async () => {
    const world = new World();
    const late = world.fill();
    world.extra = 100 * MB;
    const before = world.present.length;
    vi.advanceTimersByTime(10_000);
    expect(world.present).toHaveLength(before);
    for (const { deadlines } of world.present.slice(0, 20)) deadlines.pop();
    vi.advanceTimersByTime(20);
    expect(await late).toBe(true);
  });

  it("is had after a while by who waits where there is some left, one at a time", async () => {
    const world = new World();
    const [late, later] = [world.fill(), world.come("later")];
    const before = world.present.length;
    vi.advanceTimersByTime(80);
    await Promise.resolve();
    expect(world.present).toHaveLength(before);
    vi.advanceTimersByTime(20);
    expect(await late).toBe(true);
    expect(world.present).toHaveLength(before + 1);
    vi.advanceTimersByTime(20);
    expect(await later).toBe(true);
  });

  it("shrinks as far as to a few when those that are there grow, and is as large as before when they have shrunk", () => {
    const world = new World();
    while (!world.room.isFull) void world.come("one", { usedAt: 1 });
    const before = world.present.length;
    for (let grown = 0; grown < 20; grown++) world.room.seen((world.extra += 20 * MB) + BARE + before * EACH);
    expect(world.present).toHaveLength(16);
    world.room.seen(BARE);
    expect(world.room.isFull).toBe(false);
  });

  it("is nobody's when the host is gone; those that wait learn it, and who has been inside is not among them", async () => {
    const world = new World();
    const late = world.fill();
    expect([...world.room.close()].map((tenant) => (tenant as TestTenant).name)).toEqual(["late"]);
    expect([await late, await world.come("too late")]).toEqual([false, false]);
  });
});
