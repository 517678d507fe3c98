import { describe, expect, it } from "vitest";
import { StateBudget } from "../../../src/runtime/state-budget.ts";

const LIMIT = 100_000;
const VALUE_BYTES = 100;
const WRITES = 10;

/** What is stored, kept to in the way in which a function's results are settled. */
class Stored {
  readonly values = new Map<string, number>();
  readonly budget: StateBudget;
  /** Bytes that were read to count everything, and bytes that were written. */
  counted = 0;
  written = 0;

  constructor() {
    this.budget = new StateBudget(LIMIT, {
      settled: () => Promise.resolve(),
      bytes: () => {
        this.counted += this.bytes;
        return Promise.resolve(this.bytes);
      },
      sizes: (values) => Promise.resolve(values.map(({ name }) => this.values.get(name) ?? 0)),
    });
  }

  get bytes(): number {
    return [...this.values.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** One batch with one message; whether it was taken. */
  async write(names: readonly string[], bytes = VALUE_BYTES): Promise<boolean> {
    const batch = {};
    const writes = names.map((name) => ({ key: "", name, value: Buffer.alloc(bytes - name.length) }));
    await this.budget.prepare(batch, writes);
    const taken = this.budget.take(writes);
    if (taken) for (const name of names) this.values.set(name, bytes);
    if (taken) this.written += names.length * bytes;
    this.budget.settled(batch);
    return taken;
  }

  /** Fills that part of the limit, and returns the names of the values. */
  async fill(part: number): Promise<readonly string[]> {
    const names = Array.from({ length: Math.floor((LIMIT * part) / VALUE_BYTES) }, (_, n) => String(n).padStart(5, "0"));
    for (let at = 0; at < names.length; at += WRITES) {
      if (!(await this.write(names.slice(at, at + WRITES)))) throw new Error(`it is full at ${at}`);
    }
    return names;
  }
}

describe("the account of what a function keeps", () => {
  it.each([0.3, 0.49, 0.51, 0.75, 0.79, 0.81, 0.99])(
    "costs no more than reading what was written when %d of the limit is overwritten again and again",
    async (part) => {
      const stored = new Stored();
      const names = await stored.fill(part);
      for (let round = 0, at = 0; round < 4_000; round++, at += 7) {
        const some = Array.from({ length: WRITES }, (_, i) => names[(at + i * 13) % names.length] ?? "");
        expect(await stored.write(some)).toBe(true);
      }
      expect(stored.counted).toBeLessThanOrEqual(stored.written);
      expect(stored.bytes).toBeLessThanOrEqual(LIMIT);
    },
  );

  it("refuses what does not fit, however often the rest was overwritten, and takes it when there is room again", async () => {
    const stored = new Stored();
    const names = await stored.fill(1);
    for (let at = 0; at + WRITES <= names.length; at += WRITES) expect(await stored.write(names.slice(at, at + WRITES))).toBe(true);
    expect(await stored.write(["more"])).toBe(false);
    expect(await stored.write(names.slice(0, 1), VALUE_BYTES + 1)).toBe(false);
    expect(await stored.write(names.slice(0, 2), VALUE_BYTES / 2)).toBe(true);
    expect(await stored.write(["more"])).toBe(true);
    expect(await stored.write(["evenmore"])).toBe(false);
  });
});
