import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defineFunction, type FunctionContext } from "../../src/sdk/index.ts";
import { testFunction } from "../../src/sdk/testing.ts";
import { plainEngine } from "../support/plain-engine.ts";
import { EngineBench } from "./engine-bench.ts";

type Op = readonly ["get" | "delete" | "list", string] | readonly ["set", string, fc.JsonValue] | readonly ["throw"];

interface Step {
  readonly key: string;
  readonly ops: readonly Op[];
  /** Before the message, the isolate is replaced by one that knows only what is stored. */
  readonly forget: boolean;
}

const MANIFEST = "name: f\napi: 1\ntriggers:\n  - mqtt: in/+k\nkey: k\npermissions:\n  emit: ['*']\n";
const NAMES = ["a", "ab", "b", "__proto__", "ä", "\ud83d\ude00", "a\u0000"];

const name = fc.constantFrom(...NAMES);
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant("set" as const), name, fc.jsonValue({ maxDepth: 2 })) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("get" as const), name) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("delete" as const), name) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("list" as const), fc.constantFrom("", "a", "ab", "none", "ä")) },
  { weight: 1, arbitrary: fc.constant(["throw"] as const) },
);
const step: fc.Arbitrary<Step> = fc.record({
  key: fc.constantFrom("k", "l"),
  ops: fc.array(op, { maxLength: 8 }),
  forget: fc.nat(9).map((one) => one === 0),
});

/** Runs in an isolate and in the test kit, and says what it has seen. */
async function play(ops: readonly Op[], ctx: Pick<FunctionContext, "state" | "emit">): Promise<void> {
  const seen: unknown[] = [];
  for (const [what, at = "", value = null] of ops) {
    if (what === "set") ctx.state.set(at, value);
    if (what === "delete") ctx.state.delete(at);
    if (what === "get") seen.push((await ctx.state.get(at)) ?? null);
    if (what === "list") seen.push([...(await ctx.state.list(at))]);
    if (what === "throw") throw new Error("told to");
  }
  ctx.emit("seen", seen);
}

/** What has to be seen; undefined when the message fails, and then `stored` stays as it is. */
function expected(ops: readonly Op[], stored: Map<string, unknown>): unknown[] | undefined {
  const after = new Map(stored);
  const seen: unknown[] = [];
  for (const [what, at = "", value = null] of ops) {
    if (what === "throw") return undefined;
    if (what === "set") after.set(at, JSON.parse(JSON.stringify(value)));
    if (what === "delete") after.delete(at);
    if (what === "get") seen.push(after.get(at) ?? null);
    if (what === "list") seen.push([...after].filter(([found]) => found.startsWith(at)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
  stored.clear();
  for (const [found, value] of after) stored.set(found, value);
  return seen;
}

/** The guest, and what a journal would have of what it has written. */
class Stored implements Disposable {
  readonly #values = new Map<string, Map<string, string>>();
  #bench: EngineBench | undefined;

  async send({ key, ops, forget }: Step): Promise<unknown[] | undefined> {
    if (forget) this[Symbol.dispose]();
    this.#bench ??= await this.#open();
    const [result] = await this.#bench.results({ topic: `in/${key}`, key, payload: Buffer.from(JSON.stringify(ops)), resume: true });
    if (result?.status !== "done") return undefined;
    const values = this.#values.get(key) ?? new Map<string, string>();
    this.#values.set(key, values);
    for (const { name: at, value } of result.effects.state) {
      if (value === undefined) values.delete(at);
      else values.set(at, value.toString());
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
        const kit = testFunction(defineFunction<readonly Op[]>({ handler: (event, ctx) => play(event.data, ctx) }), { manifest: MANIFEST });
        const model: Record<string, Map<string, unknown>> = { k: new Map(), l: new Map() };
        for (const one of steps) {
          const stored = model[one.key] ?? new Map<string, unknown>();
          const wanted = expected(one.ops, stored);
          expect(await guest.send(one)).toEqual(wanted);
          const sent = kit.send({ topic: `in/${one.key}`, payload: one.ops });
          expect(
            await sent.then(
              ({ events }) => events[0]?.data,
              () => undefined,
            ),
          ).toEqual(wanted);
          expect(kit.state(one.key)).toEqual(Object.fromEntries(stored));
        }
      }),
      { numRuns: 200 },
    );
  });
});
