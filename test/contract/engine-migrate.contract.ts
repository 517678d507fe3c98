import { describe, expect, it } from "vitest";
import { storedText } from "../../src/core/state-value.ts";
import type { ItemResult } from "../../src/runtime/effects.ts";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench } from "./engine-bench.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const MARK = ["", "2"] as const;

/** What is written, the mark included, as it is stored. */
function stored(result: ItemResult | undefined): unknown {
  if (result?.status !== "done") return result?.status;
  return result.effects.state.map(({ name, value, shared }) => [
    ...(shared === true ? ["shared"] : []),
    name,
    value === undefined ? undefined : storedText(value),
  ]);
}

/** As a value is stored that expires within the first minute. */
const at = (expires: number, value: string): string => `\x01\0\0\0\0${String.fromCharCode(expires >> 8, expires & 255)}${value}`;

/** What every engine does with state that older code has stored. */
export function engineMigrateContract(make: () => Engine): void {
  describe("migrate", () => {
    const plan = {
      stateVersion: 2,
      migrate: "return { celsius: (entries.get('fahrenheit') - 32) / 1.8, kept: entries.get('kept') };",
      handler: "ctx.emit('x', [...(await ctx.state.list())]);",
    };
    const OLD = [
      ["fahrenheit", "212"],
      ["kept", '"k"'],
    ] as const;

    it("brings a key along with its first message, once, and says what changes", async () => {
      using bench = await EngineBench.create(make(), plan, { "in/a": OLD });
      const [first, second, fresh] = await bench.results({ topic: "in/a" }, { topic: "in/a" }, { topic: "in/b" });
      expect(stored(first)).toEqual([["celsius", "100"], ["fahrenheit", undefined], [...MARK]]);
      expect([stored(second), stored(fresh)]).toEqual([[], []]);
      const [event] = second?.status === "done" ? second.effects.events : [];
      expect(JSON.parse(event?.data ?? "null")).toEqual([
        ["celsius", 100],
        ["kept", "k"],
      ]);
    });

    it("leaves alone what is of its version, and marks what is new", async () => {
      using bench = await EngineBench.create(
        make(),
        { ...plan, migrate: "throw new Error('no');", handler: "ctx.state.set('a', 1); ctx.emit('x', [...(await ctx.state.list())]);" },
        { "in/a": [["celsius", "1"], MARK] },
      );
      const [marked, fresh] = await bench.results({ topic: "in/a" }, { topic: "in/b" });
      expect([stored(marked), stored(fresh)]).toEqual([[["a", "1"]], [["a", "1"], [...MARK]]]);
    });

    it("takes the mark away with the last value", async () => {
      using bench = await EngineBench.create(
        make(),
        { ...plan, handler: "if (event.data) ctx.state.set('a', 1); else ctx.state.delete('a');" },
        { "in/a": [["a", "1"], MARK] },
      );
      const results = await bench.results(
        { topic: "in/a", payload: json(0) },
        { topic: "in/a", payload: json(1) },
        { topic: "in/a", payload: json(0) },
      );
      expect(results.map(stored)).toEqual([
        [
          ["a", undefined],
          ["", undefined],
        ],
        [["a", "1"], [...MARK]],
        [
          ["a", undefined],
          ["", undefined],
        ],
      ]);
    });

    it("tells from which version, of which key, and goes through several at once", async () => {
      using bench = await EngineBench.create(
        make(),
        {
          ...plan,
          stateVersion: 7,
          migrate:
            "await 0; ctx.log.info('m'); return new Map([...entries, ['seen', [from, ctx.to, ctx.key ?? 'shared', ctx.function.name]]]);",
          handler: "ctx.emit('x', [await ctx.state.get('seen'), await ctx.state.shared.get('seen')]);",
        },
        {
          "in/a": [
            ["x", "1"],
            ["", "3"],
          ],
          "": [["x", "1"]],
        },
      );
      expect(await bench.run({ topic: "in/a" })).toMatchObject([
        {
          logs: ["info m", "info m"],
          events: [
            [
              [3, 7, "in/a", "f"],
              [1, 7, "shared", "f"],
            ],
          ],
        },
      ]);
    });

    it("keeps the time at which a value expires, and does not bring along what has expired", async () => {
      using bench = await EngineBench.create(
        make(),
        { ...plan, migrate: "return new Map([...entries].map(([name, n]) => [name, n + 1]));" },
        {
          "in/a": [
            ["gone", at(999, "1")],
            ["stays", at(5_000, "1")],
          ],
        },
      );
      const [first] = await bench.results({ topic: "in/a" });
      expect(stored(first)).toMatchObject([
        ["stays", at(5_000, "2")],
        ["gone", undefined],
        ["", expect.stringMatching(/.{7}2$/s)],
      ]);
      const late = await bench.run({ topic: "in/a", time: 5_000 });
      expect(late).toMatchObject([{ events: [[]] }]);
    });

    it.each([
      ["throws", "throw new Error('cannot');", "retry", "FUNCTION_THREW"],
      ["gives up", "throw Object.assign(new Error('x'), { name: 'PermanentError' });", "failed", "FUNCTION_THREW"],
      ["returns nothing", "", "retry", "FUNCTION_THREW"],
      ["returns what cannot be kept", "return { x: undefined };", "retry", "FUNCTION_THREW"],
      ["returns a name that is none", "return { '': 1 };", "retry", "FUNCTION_THREW"],
      ["returns too much", "return { x: 'x'.repeat(100_000) };", "failed", "LIMIT_STATE"],
      ["asks the gateway", "await fetch('https://a.example'); return entries;", "retry", "FUNCTION_THREW"],
    ])("fails its message when it %s, and no other key", async (_what, migrate, status, code) => {
      using bench = await EngineBench.create(make(), { ...plan, migrate, http: ["a.example"] }, { "in/a": OLD });
      const results = await bench.run({ topic: "in/a" }, { topic: "in/b" });
      expect(results).toMatchObject([
        { status, code, logs: [expect.stringContaining('key "in/a": it cannot be migrated')] },
        { status: "done" },
      ]);
    });

    it("comes again with the retry of a message, and leaves nothing of a try that failed", async () => {
      using bench = await EngineBench.create(
        make(),
        { ...plan, handler: "if (event.attempt === 1) throw new Error('x'); ctx.emit('x', [...(await ctx.state.list())]);" },
        { "in/a": OLD },
      );
      const failed = await bench.run({ topic: "in/a" });
      const [again] = await bench.results({ topic: "in/a", attempt: 2, resume: true });
      expect(failed).toMatchObject([{ status: "retry" }]);
      expect(stored(again)).toEqual([["celsius", "100"], ["fahrenheit", undefined], [...MARK]]);
    });

    it("brings all keys of a batch along, and what failed of one changes nothing there", async () => {
      using bench = await EngineBench.create(
        make(),
        { stateVersion: 2, migrate: plan.migrate, batch: "return { failed: events.filter((event) => event.data === 'bad') };" },
        { k: OLD, l: OLD },
      );
      const results = await bench.results(
        { topic: "in/a", key: "k" },
        { topic: "in/a", key: "l" },
        { topic: "in/a", key: "k", payload: json("bad") },
      );
      expect(results.map(stored)).toEqual([
        [["celsius", "100"], ["fahrenheit", undefined], [...MARK]],
        [["celsius", "100"], ["fahrenheit", undefined], [...MARK]],
        "retry",
      ]);
    });

    it.each(["await ctx.state.get('a');", "await ctx.state.list();", "ctx.state.set('a', 2);"])(
      "refuses for good what newer code has stored: %s",
      async (handler) => {
        for (const stateVersion of [1, 2]) {
          using bench = await EngineBench.create(
            make(),
            { ...plan, stateVersion, handler },
            {
              "in/a": [
                ["a", "1"],
                ["", "3"],
              ],
            },
          );
          const results = await bench.run({ topic: "in/a" }, { topic: "in/b" });
          expect(results).toMatchObject([{ status: "failed", code: "STATE_NEWER" }, { status: "done" }]);
        }
      },
    );

    it("is needed by code whose state has a version", async () => {
      const { migrate: _migrate, ...without } = plan;
      await expect(EngineBench.create(make(), without)).rejects.toThrow(/no migrate\(entries, from, ctx\), which state\.version 2/);
      await expect(EngineBench.create(make(), { ...without, code: "var __millrace={default:{handler(){},migrate:7}};" })).rejects.toThrow(
        /"migrate" is not a function/,
      );
    });
  });
}
