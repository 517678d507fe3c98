import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { storedText } from "../../src/core/state-value.ts";
import { defineFunction, type FunctionContext } from "../../src/sdk/index.ts";
import { testFunction } from "../../src/sdk/testing.ts";
import { placeOf } from "../../src/runtime/effects.ts";
import { plainEngine } from "../support/plain-engine.ts";
import { EngineBench } from "./engine-bench.ts";

type Op = readonly ["get" | "delete" | "list", string] | readonly ["set", string, fc.JsonValue, number?] | readonly ["throw"];

/** Of the key, or of what all keys see. */
type ScopedOp = readonly [op: Op, shared: boolean];

interface Step {
  readonly key: string;
  readonly ops: readonly ScopedOp[];
  /** How much later than the message before it came; it may be older, too. */
  readonly later: number;
  /** Before the message, the isolate is replaced by one that knows only what is stored. */
  readonly forget: boolean;
}

const MANIFEST = "name: f\napi: 1\ntriggers:\n  - mqtt: in/+k\nkey: k\npermissions:\n  emit: ['*']\n";
const NAMES = ["a", "ab", "b", "__proto__", "ä", "\ud83d\ude00", "a\u0000"];

const name = fc.constantFrom(...NAMES);
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant("set" as const), name, fc.jsonValue({ maxDepth: 2 })) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("set" as const), name, fc.jsonValue({ maxDepth: 1 }), fc.integer({ min: 1, max: 20 })) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("get" as const), name) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("delete" as const), name) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("list" as const), fc.constantFrom("", "a", "ab", "none", "ä")) },
  { weight: 1, arbitrary: fc.constant(["throw"] as const) },
);
const step: fc.Arbitrary<Step> = fc.record({
  key: fc.constantFrom("k", "l"),
  ops: fc.array(fc.tuple(op, fc.boolean()), { maxLength: 8 }),
  later: fc.integer({ min: -3, max: 15 }),
  forget: fc.nat(9).map((one) => one === 0),
});

/** Runs in an isolate and in the test kit, and says what it has seen. */
async function play(ops: readonly ScopedOp[], ctx: Pick<FunctionContext, "state" | "emit">): Promise<void> {
  const seen: unknown[] = [];
  for (const [[what, at = "", value = null, ttl], shared] of ops) {
    const state = shared ? ctx.state.shared : ctx.state;
    if (what === "set") state.set(at, value, ttl === undefined ? undefined : { ttl });
    if (what === "delete") state.delete(at);
    if (what === "get") seen.push((await state.get(at)) ?? null);
    if (what === "list") seen.push([...(await state.list(at))]);
    if (what === "throw") throw new Error("told to");
  }
  ctx.emit("seen", seen);
}

interface Kept {
  readonly value: unknown;
  readonly expires: number;
}

interface Stores {
  own: Map<string, Kept>;
  shared: Map<string, Kept>;
}

/** What has to be seen at `now`, and what is stored then; nothing is seen and all stays as it is when the message fails. */
function expected(ops: readonly ScopedOp[], before: Stores, now: number): { seen?: unknown[]; after: Stores } {
  const after = { own: new Map(before.own), shared: new Map(before.shared) };
  const seen: unknown[] = [];
  for (const [[what, at = "", value = null, ttl = Infinity], shared] of ops) {
    const values = shared ? after.shared : after.own;
    if (what === "throw") return { after: before };
    if (what === "set") values.set(at, { value: JSON.parse(JSON.stringify(value)), expires: now + ttl });
    if (what === "delete") values.delete(at);
    if (what === "get") seen.push(there(values, now).get(at) ?? null);
    if (what === "list")
      seen.push([...there(values, now)].filter(([found]) => found.startsWith(at)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
  return { seen, after };
}

function there(stored: ReadonlyMap<string, Kept>, now: number): Map<string, unknown> {
  return new Map([...stored].filter(([, { expires }]) => expires > now).map(([at, { value }]) => [at, value]));
}

/** The guest, and what a journal would have of what it has written. */
class Stored implements Disposable {
  readonly #values = new Map<string, Map<string, string>>();
  #bench: EngineBench | undefined;

  async send({ key, ops, forget }: Step, time: number): Promise<unknown[] | undefined> {
    if (forget) this[Symbol.dispose]();
    this.#bench ??= await this.#open();
    const [result] = await this.#bench.results({ topic: `in/${key}`, key, payload: Buffer.from(JSON.stringify(ops)), resume: true, time });
    if (result?.status !== "done") return undefined;
    for (const write of result.effects.state) {
      const { name: at, value } = write;
      const values = this.#values.get(placeOf({ key }, write)) ?? new Map<string, string>();
      this.#values.set(placeOf({ key }, write), values);
      if (value === undefined) values.delete(at);
      else values.set(at, storedText(value));
    }
    return JSON.parse(result.effects.events[0]?.data ?? "null") as unknown[];
  }

  #open(): Promise<EngineBench> {
    const stored = Object.fromEntries([...this.#values].map(([key, values]) => [key, [...values]]));
    return EngineBench.create(plainEngine(), { prelude: play.toString(), handler: "await play(event.data, ctx);" }, stored);
  }

  [Symbol.dispose](): void {
    this.#bench?.[Symbol.dispose]();
    this.#bench = undefined;
  }
}

describe("state", () => {
  it("is the same for a function in an isolate and in the test kit as in a map, whatever it does", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        using guest = new Stored();
        const kit = testFunction(defineFunction<readonly ScopedOp[]>({ handler: (event, ctx) => play(event.data, ctx) }), {
          manifest: MANIFEST,
        });
        const own: Record<string, Map<string, Kept>> = { k: new Map(), l: new Map() };
        let shared = new Map<string, Kept>();
        let [time, newest] = [1_000, 0];
        for (const one of steps) {
          time += one.later;
          newest = Math.max(newest, time);
          const { seen, after } = expected(one.ops, { own: own[one.key] ?? new Map<string, Kept>(), shared }, time);
          own[one.key] = after.own;
          shared = after.shared;
          expect(await guest.send(one, time)).toEqual(seen);
          const sent = kit.send({ topic: `in/${one.key}`, payload: one.ops, time });
          expect(
            await sent.then(
              ({ events }) => events[0]?.data,
              () => undefined,
            ),
          ).toEqual(seen);
          expect(kit.state(one.key)).toEqual(Object.fromEntries(there(after.own, newest)));
          expect(kit.shared()).toEqual(Object.fromEntries(there(shared, newest)));
        }
      }),
      { numRuns: 200 },
    );
  });
});
