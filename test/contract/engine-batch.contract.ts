import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench, resultsOf } from "./engine-bench.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const sent = (
  k: string,
  value: unknown,
  more: { attempt?: number; resume?: boolean } = {},
): { topic: string; key: string; payload: Buffer } => ({
  topic: `in/${k}`,
  key: k,
  payload: json(value),
  ...more,
});

/** What every engine does with messages that go to `batch` of a function. */
export function engineBatchContract(make: () => Engine): void {
  describe("a batch", () => {
    it("is one call, whose effects are with its last message and count together", async () => {
      using bench = await EngineBench.create(make(), {
        batch: `calls++; ctx.log.info('got', { n: events.length }); ctx.publish('sum', events.map((event) => event.data));
          ctx.emit('sum', events.reduce((sum, event) => sum + event.data, 0)); for (const event of events) ctx.of(event).emit('one', event.data);`,
        prelude: "let calls = 0;",
      });
      const results = await bench.results(sent("a", 1), sent("b", 2), sent("a", 3));
      expect(results.map((result) => result.status === "done" && result.joined === true)).toEqual([true, true, false]);
      expect(results).toMatchObject([
        { status: "done", logs: [{ message: "got" }], effects: { events: [{ type: "one", data: "1" }], publishes: [] } },
        { status: "done", logs: [], effects: { events: [{ type: "one", data: "2" }], publishes: [] } },
        {
          status: "done",
          effects: {
            events: [
              { type: "one", data: "3" },
              { type: "sum", subject: "in/a", data: "6" },
            ],
          },
        },
      ]);
      const [, , last] = results;
      expect(last?.status === "done" && last.effects.publishes).toHaveLength(1);
    });

    it("has the state of each key, which its messages share, and the next batch sees it", async () => {
      using bench = await EngineBench.create(
        make(),
        {
          batch: `for (const event of events) { const { state } = ctx.of(event); const n = (await state.get('n') ?? 0) + event.data;
            state.set('n', n); ctx.of(event).emit('n', n); }`,
        },
        { a: [["n", "10"]] },
      );
      expect(await bench.run(sent("a", 1), sent("b", 2), sent("a", 3))).toEqual([
        { status: "done", events: [11] },
        { status: "done", events: [2], state: { n: 2 } },
        { status: "done", events: [14], state: { n: 14 } },
      ]);
      expect(await bench.run(sent("b", 1), sent("a", 1))).toEqual([
        { status: "done", events: [3], state: { n: 3 } },
        { status: "done", events: [15], state: { n: 15 } },
      ]);
    });

    it("gives up or retries only the messages that it returns as failed", async () => {
      using bench = await EngineBench.create(make(), {
        batch: `ctx.emit('kept', events.filter((event) => event.data > 0).map((event) => event.data));
          const bad = Object.assign(new Error('never'), { name: 'PermanentError' });
          return { failed: events.filter((event) => event.data <= 0).map((event) => event.data < 0 ? { id: event.id, error: bad } : event) };`,
      });
      const results = await bench.run(sent("a", 1), sent("b", -1), sent("c", 0), sent("d", 2), sent("e", -2));
      expect(results).toEqual([
        { status: "done" },
        { status: "failed", code: "FUNCTION_THREW" },
        { status: "retry", code: "FUNCTION_THREW" },
        { status: "done", events: [[1, 2]] },
        { status: "failed", code: "FUNCTION_THREW" },
      ]);
      // The key of the one that is retried waits, the others go on.
      expect(
        (await bench.run(sent("c", 1), sent("b", 1), { ...sent("c", 1, { attempt: 2, resume: true }) })).map(({ status }) => status),
      ).toEqual(["deferred", "done", "done"]);
    });

    it("of which all have failed has done nothing", async () => {
      using bench = await EngineBench.create(make(), {
        batch: `ctx.emit('x', 1); ctx.of(events[0]).state.set('n', 1); return { failed: events };`,
      });
      expect(await bench.run(sent("a", 1), sent("b", 1))).toEqual([
        { status: "retry", code: "FUNCTION_THREW" },
        { status: "retry", code: "FUNCTION_THREW" },
      ]);
    });

    it("that throws has done nothing, and its messages are handled one by one", async () => {
      using bench = await EngineBench.create(make(), {
        batch: `ctx.emit('all', events.length); ctx.of(events[0]).state.set('n', events.length);
          if (events.some((event) => event.data < 0)) throw new Error('negative');`,
      });
      const results = await bench.results(sent("a", 1), sent("b", -1), sent("b", 2), sent("c", 3));
      expect(results.map(({ status }) => status)).toEqual(["done", "retry", "deferred", "done"]);
      expect(results[0]).toMatchObject({
        logs: [{ level: "warn", message: expect.stringContaining("its 4 messages are handled one by one: Error: negative") as string }],
        effects: { events: [{ data: "1" }], state: [{ name: "n" }] },
      });
    });

    it.each([
      ["names a message that it did not get", "return { failed: [{ id: 'g:99' }] };"],
      ["returns no list", "return { failed: 'all' };"],
      ["leaves out those behind a failed one of the same key", "return { failed: [events[0]] };"],
      ["writes state of a key that has failed in part", "ctx.of(events[0]).state.set('n', 1); return { failed: [events[1]] };"],
      ["asks for the context of another message", "ctx.of({});"],
      ["uses state that is of no key", "ctx.state.get('n');"],
    ])("is handled one by one when it %s", async (_what, body) => {
      using bench = await EngineBench.create(make(), { batch: `if (events.length > 1) { ${body} } ctx.emit('n', events.length);` });
      expect(await bench.run(sent("a", 1), sent("a", 2))).toMatchObject([
        { status: "done", events: [1] },
        { status: "done", events: [1] },
      ]);
    });

    it("holds no message that is tried again", async () => {
      using bench = await EngineBench.create(make(), { batch: "for (const event of events) ctx.of(event).emit('n', events.length);" });
      const results = await bench.run(sent("a", 1, { attempt: 2 }), sent("b", 1), sent("c", 1), sent("d", 1, { attempt: 3 }), sent("e", 1));
      expect(results.map(({ events }) => events)).toEqual([[1], [2], [2], [1], [1]]);
    });

    it("has its limits together", async () => {
      using bench = await EngineBench.create(make(), {
        limits: { outputBytes: 1_000 },
        batch: `for (const event of events) { ctx.of(event).emit('x', 'x'.repeat(400)); for (let i = 0; i < 60; i++) ctx.of(event).log.info('line'); }`,
      });
      const results = await bench.results(sent("a", 1), sent("b", 1), sent("c", 1));
      expect(results.map(({ status }) => status)).toEqual(["done", "done", "done"]);
      expect(results[0]).toMatchObject({
        logs: [{ message: expect.stringContaining("LIMIT_OUTPUT") as string }, ...Array.from({ length: 60 }, () => ({ message: "line" }))],
      });
    });

    it("that waits too long is cut, and nobody is known to be the cause", async () => {
      using bench = await EngineBench.create(make(), { batch: "await new Promise(() => undefined);" });
      const outcome = await bench.outcome([sent("a", 1), sent("b", 1)], { timeoutMs: 1_000, wallMs: 30 });
      expect(outcome).toMatchObject({ done: false, fault: { code: "LIMIT_WALL" }, finished: 0, elapsedMs: 0 });
      expect(resultsOf(outcome)).toEqual([]);
    });

    it("needs a function that can take one", async () => {
      const code = "var __millrace = { default: { handler() {} } };";
      await expect(EngineBench.create(make(), { batch: "", code })).rejects.toThrow(
        "defineFunction({ batch }), which function.yaml asks for",
      );
      const other = "var __millrace = { default: { batch() {} } };";
      await expect(EngineBench.create(make(), { handler: "", code: other })).rejects.toThrow('for a batch, function.yaml needs "batch"');
    });
  });
}
