import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench } from "./engine-bench.ts";

/** Timers, microtasks and randomness, which every isolate has. */
export function engineTimersContract(make: () => Engine): void {
  const SLEEP = "const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms, ms));";

  /** What the only message emits. */
  async function emitted(handler: string, prelude = SLEEP): Promise<unknown> {
    using bench = await EngineBench.create(make(), { prelude, handler });
    return await bench.emitted({ topic: "in/a" });
  }

  describe("timers", () => {
    it("let a handler wait, and come in the order in which they are due", async () => {
      expect(
        await emitted(`const order = [];
          const later = (name, ms) => sleep(ms).then(() => { order.push(name); });
          await Promise.all([later('30', 30), later('5', 5), later('15', 15), later('none', undefined), later('5 again', 5)]);
          const before = Date.now(); order.push(await sleep(20)); order.push(Date.now() - before >= 19);
          ctx.emit('x', order);`),
      ).toEqual(["none", "5", "5 again", "15", "30", 20, true]);
    });

    it("have what waits for one go on before the next one that is due", async () => {
      expect(
        await emitted(`const order = [];
          const chain = async (name) => { await sleep(2); for (let i = 0; i < 3; i++) { order.push(name + i); await null; } };
          const all = Promise.all([chain('a'), chain('b')]); const until = Date.now() + 20; while (Date.now() < until); await all;
          ctx.emit('x', order);`),
      ).toEqual(["a0", "a1", "a2", "b0", "b1", "b2"]);
    });

    it("can be stopped, and repeat until they are", async () => {
      expect(
        await emitted(`let count = 0; const seen = [];
          const gone = setTimeout(() => seen.push('gone'), 1); clearTimeout(gone); clearTimeout(undefined); clearInterval(999);
          const ends = Promise.withResolvers();
          const tick = (text) => { seen.push(text); if (++count === 3) { clearInterval(id); ends.resolve(); } };
          const id = setInterval(tick, 2, 'tick'); await ends.promise;
          await sleep(10); ctx.emit('x', seen);`),
      ).toEqual(["tick", "tick", "tick"]);
    });

    it("go on when the clock is set, and when the function has replaced it", async () => {
      expect(
        await emitted("Date.now = () => 0; globalThis.Date = undefined; await Promise.all([sleep(1), sleep(10)]); ctx.emit('x', 1);"),
      ).toBe(1);
    });

    it("end with their message", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: `${SLEEP} let late = 0;`,
        handler:
          "if (event.params.k === 'sets') { setTimeout(() => late++, 1); setInterval(() => late++, 2); } else await sleep(20); ctx.emit('late', late);",
      });
      expect(await bench.run({ topic: "in/sets" }, { topic: "in/waits" })).toMatchObject([{ events: [0] }, { events: [0] }]);
      expect(await bench.run({ topic: "in/sets" })).toMatchObject([{ events: [0] }]);
      expect(await bench.run({ topic: "in/waits" })).toMatchObject([{ events: [0] }]);
    });

    it("that throw tell the log, and the handler goes on", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: SLEEP,
        handler: `setTimeout(() => { throw new RangeError('in a timer'); }, 1); queueMicrotask(() => { throw new Error('soon'); });
          await sleep(10); ctx.emit('x', 1);`,
      });
      const [result] = await bench.run({ topic: "in/a" });
      expect(result).toMatchObject({ status: "done", events: [1] });
      expect(result?.logs).toEqual([expect.stringMatching(/^error Error: soon/), expect.stringMatching(/^error RangeError: in a timer/)]);
    });

    it("are at most 100 at once, and are no use outside of a message", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: `${SLEEP} let early; try { setTimeout(() => 1, 1); } catch (error) { early = error.message; }`,
        handler: `if (event.params.k === 'many') for (let i = 0; i < 101; i++) setTimeout(() => 1, 1000);
          await Promise.all(Array.from({ length: 100 }, () => sleep(3))); ctx.emit('x', early);`,
      });
      expect(await bench.run({ topic: "in/a" }, { topic: "in/many" }, { topic: "in/a" })).toMatchObject([
        { status: "done", events: ["timers can be set only while a message is handled"] },
        { status: "failed", code: "LIMIT_TIMERS" },
        { status: "done" },
      ]);
    });

    it("of 256 messages in one batch, and thousands one after the other, are no matter", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: SLEEP,
        handler:
          "for (let i = 0; i < 10; i++) { const id = setTimeout(() => 1, 4_000 - i); if (i % 5 === 0) await sleep(1); clearTimeout(id); }",
      });
      const results = await bench.run(...Array.from({ length: 256 }, () => ({ topic: "in/a" })));
      expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["done"]));
    });
  });

  it("a wait that is longer than the wall limit is cut", async () => {
    using bench = await EngineBench.create(make(), { prelude: SLEEP, handler: "await sleep(2 ** 40);" });
    expect(await bench.outcome([{ topic: "in/a" }], { timeoutMs: 1_000, wallMs: 50 })).toMatchObject({ fault: { code: "LIMIT_WALL" } });
  });

  describe("randomness", () => {
    it("fills arrays, makes ids of version 4, and is another in every isolate", async () => {
      const handler = `const bytes = crypto.getRandomValues(new Uint8Array(65_536)); const counts = new Array(256).fill(0);
        for (const byte of bytes) counts[byte]++;
        const words = crypto.getRandomValues(new Uint32Array(4).subarray(1, 3));
        const ids = Array.from({ length: 200 }, () => crypto.randomUUID());
        ctx.emit('x', { least: Math.min(...counts), most: Math.max(...counts), early, words: words.length, ids });`;
      const ids = new Set<string>();
      for (let isolate = 0; isolate < 3; isolate++) {
        const found = (await emitted(handler, "const early = crypto.randomUUID();")) as Drawn;
        expect(found.least).toBeGreaterThan(130);
        expect(found.most).toBeLessThan(400);
        expect(found.words).toBe(2);
        for (const id of [found.early, ...found.ids]) ids.add(id);
      }
      expect(ids.size).toBe(603);
      for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    });

    it("refuses more than 65,536 bytes at once", async () => {
      expect(await emitted("try { crypto.getRandomValues(new Uint8Array(65_537)); } catch (error) { ctx.emit('x', error.name); }")).toBe(
        "RangeError",
      );
      expect(await emitted("try { crypto.getRandomValues([1]); } catch (error) { ctx.emit('x', error.name); }")).toBe("TypeError");
    });
  });
}

interface Drawn {
  readonly least: number;
  readonly most: number;
  readonly words: number;
  readonly early: string;
  readonly ids: readonly string[];
}
