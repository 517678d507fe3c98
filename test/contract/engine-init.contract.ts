import { describe, expect, it } from "vitest";
import { decodeResults } from "../../src/runtime/effects.ts";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench } from "./engine-bench.ts";

const MISSES = (): { head: object } => ({ head: { error: { code: "SECRET_MISSING", message: "set it" } } });

/** What every engine does with `init` of a function. */
export function engineInitContract(make: () => Engine): void {
  describe("init", () => {
    it("runs once, before the first message, and may wait", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "const seen = [];",
        init: "seen.push('begun'); await new Promise((resolve) => setTimeout(resolve, 5)); seen.push('done');",
        handler: "seen.push(event.subject); ctx.emit('seen', seen);",
      });
      expect(await bench.run({ topic: "in/a" }, { topic: "in/b" })).toMatchObject([
        { events: [["begun", "done", "in/a"]] },
        { events: [["begun", "done", "in/a", "in/b"]] },
      ]);
    });

    it("has what belongs to no message, and what it logs is told", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "let found;",
        init: "found = Object.keys(ctx).sort(); ctx.log.info('made', { of: ctx.function.name }); console.warn('too');",
        handler: "ctx.emit('found', found);",
      });
      expect(await bench.emitted({ topic: "in/a" })).toEqual(["env", "function", "log", "secret"]);
      expect(decodeResults(Buffer.from(bench.instance.said, "latin1"), 1)).toMatchObject([
        {
          status: "done",
          logs: [
            { level: "info", message: "made", fields: '{"of":"f"}' },
            { level: "warn", message: "too" },
          ],
          effects: { state: [], events: [], publishes: [] },
        },
      ]);
    });

    it("gets the secrets that the manifest names, and nothing else of the gateway", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "const found = [];",
        init: `found.push(await ctx.secret('KEY'));
          for (const wrong of [() => ctx.secret('OTHER'), () => fetch('https://a.example')])
            await wrong().then(() => found.push('taken'), (error) => found.push(error.code ?? error.message));`,
        handler: "found.push(await ctx.secret('KEY')); ctx.emit('found', found);",
        secrets: ["KEY"],
        http: ["a.example"],
        answer: () => ({ head: { value: "the value" } }),
      });
      const refused = "the gateway can be asked only while a message is handled";
      expect(await bench.emitted({ topic: "in/a" })).toEqual(["the value", "PERMISSION_DENIED", refused, "the value"]);
      expect(bench.called).toMatchObject([
        { what: 1, head: "KEY" },
        { what: 1, head: "KEY" },
      ]);
    });

    it("calls off what it has asked for and not waited for, and does not get it later", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "let late = 0;",
        init: "void ctx.secret('KEY').then(() => late++, () => late++);",
        handler: "await new Promise((resolve) => setTimeout(resolve, 10)); ctx.emit('late', late);",
        secrets: ["KEY"],
        answer: () => undefined,
      });
      expect(await bench.emitted({ topic: "in/a" })).toBe(0);
      expect(bench.called).toMatchObject([{ what: 1 }, 1]);
    });

    it("fails with the code of a secret that is not set", async () => {
      const plan = { init: "await ctx.secret('KEY');", secrets: ["KEY"], answer: MISSES };
      await expect(EngineBench.create(make(), plan)).rejects.toThrow(/init failed: SECRET_MISSING: .*set it/);
    });

    it("leaves no timer behind that would run while a message is handled", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "let rang = 0;",
        init: "setInterval(() => rang++, 1);",
        handler: "await new Promise((resolve) => setTimeout(resolve, 20)); ctx.emit('rang', rang);",
      });
      expect(await bench.emitted({ topic: "in/a" })).toBe(0);
    });

    it.each([
      ["throws", "throw new TypeError('no table');", /init failed: TypeError: no table\n {4}at .*f\.js:1/],
      ["rejects", "await 0; throw new Error('later');", /init failed: Error: later/],
      ["uses what it does not have", "await ctx.state.get('x');", /init failed: TypeError/],
      ["throws what cannot be read", "throw { get message() { throw 1; } };", /init failed: the thrown value cannot be read/],
      ["never ends", "await new Promise(() => undefined);", /LIMIT_WALL: init not finished after 50 ms/],
    ])("fails the start when it %s", async (_what, init, message) => {
      const plan = { init, handler: "", limits: { initMs: 50 } };
      await expect(EngineBench.create(make(), plan)).rejects.toMatchObject({ message: expect.stringMatching(message) });
    });

    it("tells what it logged before it failed", async () => {
      const plan = { init: "ctx.log.error('about to'); throw new Error('x');", handler: "" };
      const failed: unknown = await EngineBench.create(make(), plan).catch((error: unknown) => error);
      const { said } = failed as { readonly said: string };
      expect(decodeResults(Buffer.from(said, "latin1"), 1)).toMatchObject([{ status: "retry", logs: [{ message: "about to" }] }]);
    });
  });
}
