import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SHARED_KEY, storedText } from "../../src/core/state-value.ts";
import { placeOf } from "../../src/runtime/effects.ts";
import { plainEngine } from "../support/plain-engine.ts";
import { EngineBench } from "./engine-bench.ts";

/** Adds to lists under its names; some messages fail. Each version keeps the same lists in another shape. */
interface Step {
  readonly key: string;
  readonly name: string;
  readonly shared: boolean;
  readonly n: number;
  readonly fails: boolean;
  /** Before the message, the next version takes over, with what is stored. */
  readonly next: boolean;
}

type Shape = (list: readonly number[]) => unknown;

/** By version: how a list is kept, and how it is read. */
const SHAPES: readonly { readonly keep: Shape; readonly read: (kept: never) => number[] }[] = [
  { keep: (list) => list, read: (kept: number[]) => kept },
  { keep: (list) => ({ list }), read: (kept: { list: number[] }) => kept.list },
  { keep: (list) => list.join(), read: (kept: string) => kept.split(",").map(Number) },
];

const step: fc.Arbitrary<Step> = fc.record({
  key: fc.constantFrom("k", "l"),
  name: fc.constantFrom("a", "b"),
  shared: fc.boolean(),
  n: fc.nat(9),
  fails: fc.nat(4).map((one) => one === 0),
  next: fc.nat(4).map((one) => one === 0),
});

function planOf(version: number): object {
  const shapes = `const SHAPES = [${SHAPES.map(({ keep, read }) => `{ keep: ${keep.toString()}, read: ${read.toString()} }`).join()}];`;
  const own = `SHAPES[${version - 1}]`;
  return {
    prelude: shapes,
    ...(version === 1 ? {} : { stateVersion: version }),
    migrate: `return new Map([...entries].map(([name, kept]) => [name + '!'.repeat(ctx.to - from), ${own}.keep(SHAPES[from - 1].read(kept))]));`,
    handler: `
      const { name, shared, n, fails } = event.data;
      const state = shared ? ctx.state.shared : ctx.state;
      const at = name + '!'.repeat(${version - 1});
      const kept = await state.get(at);
      state.set(at, ${own}.keep([...(kept === undefined ? [] : ${own}.read(kept)), n]));
      if (fails) throw new Error('told to');`,
  };
}

/** What is in the shape of an older version is brought along in one go, as `migrate` would with every step between. */
function allAtOnce(stored: Map<string, Map<string, string>>, from: number, to: number): void {
  for (const [key, values] of stored) {
    const entries = [...values].map(([name, text]): [string, string] => {
      const list = SHAPES[from - 1]?.read(JSON.parse(text) as never) ?? [];
      return [`${name}${"!".repeat(to - from)}`, JSON.stringify(SHAPES[to - 1]?.keep(list))];
    });
    stored.set(key, new Map(entries));
  }
}

/** A journal, and the isolate of one version after another. */
class Played implements Disposable {
  readonly stored = new Map<string, Map<string, string>>();
  #bench: EngineBench | undefined;

  async send({ key, ...data }: Step, plan: object): Promise<void> {
    this.#bench ??= await this.#open(plan);
    const [result] = await this.#bench.results({ topic: `in/${key}`, key, payload: Buffer.from(JSON.stringify(data)), resume: true });
    if (result?.status !== "done") return;
    for (const write of result.effects.state) {
      const values = this.stored.get(placeOf({ key }, write)) ?? new Map<string, string>();
      this.stored.set(placeOf({ key }, write), values);
      if (write.value === undefined) values.delete(write.name);
      else values.set(write.name, storedText(write.value));
    }
  }

  #open(plan: object): Promise<EngineBench> {
    return EngineBench.create(plainEngine(), plan, Object.fromEntries([...this.stored].map(([key, values]) => [key, [...values]])));
  }

  /** The isolate is gone, and with it what it remembers. */
  [Symbol.dispose](): void {
    this.#bench?.[Symbol.dispose]();
    this.#bench = undefined;
  }
}

describe("migrate", () => {
  it("ends with the same state, key by key as messages come, as everything at once when a version takes over", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        using lazily = new Played();
        const model = new Map<string, Map<string, string>>();
        let version = 1;
        for (const one of steps) {
          if (one.next && version < SHAPES.length) {
            allAtOnce(model, version, ++version);
            lazily[Symbol.dispose]();
          }
          await lazily.send(one, planOf(version));
          if (one.fails) continue;
          const place = one.shared ? SHARED_KEY : one.key;
          const values = model.get(place) ?? new Map<string, string>();
          model.set(place, values);
          const at = `${one.name}${"!".repeat(version - 1)}`;
          const text = values.get(at);
          const before = text === undefined ? [] : (SHAPES[version - 1]?.read(JSON.parse(text) as never) ?? []);
          values.set(at, JSON.stringify(SHAPES[version - 1]?.keep([...before, one.n])));
        }
        // A last message to each key brings along what no message came for.
        for (const key of ["k", "l"]) {
          lazily[Symbol.dispose]();
          await lazily.send({ key, name: "last", shared: false, n: 0, fails: false, next: false }, planOf(version));
        }
        for (const [key, values] of lazily.stored) {
          const mark = values.get("");
          expect(mark).toBe(version === 1 || values.size === 0 ? undefined : String(version));
          values.delete("");
          values.delete(`last${"!".repeat(version - 1)}`);
          expect(Object.fromEntries(values)).toEqual(Object.fromEntries(model.get(key) ?? []));
        }
      }),
      { numRuns: 150 },
    );
  });
});
