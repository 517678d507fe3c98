import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench } from "./engine-bench.ts";

/** What becomes of lines that a message logs. */
export function engineLogsContract(make: () => Engine): void {
  describe("a message", () => {
    it("keeps logs within a hundred lines and 64 KB, and says what is left out", async () => {
      using bench = await EngineBench.create(make(), {
        handler: `
          if (event.data === 'lines') for (let i = 0; i < 200; i++) console.log(i);
          if (event.data === 'long') for (let i = 0; i < 20; i++) console.log('x'.repeat(10_000));
          if (event.data === 'fails') { for (let i = 0; i < 102; i++) console.log(i); throw new Error('x'); }`,
      });
      const payloads = ["lines", "long", "fails"].map((what) => Buffer.from(JSON.stringify(what)));
      const [lines, long, fails] = (await bench.results(...payloads.map((payload) => ({ topic: "in/a", payload })))).map((result) =>
        result.status === "deferred" ? [] : result.logs,
      );
      expect(lines).toHaveLength(101);
      expect(lines?.[0]).toEqual({ level: "info", message: "0" });
      expect(lines?.[100]).toEqual({ level: "warn", message: "LIMIT_LOG: 100 more lines of this message are left out", leftOut: 100 });
      expect(fails?.[100]).toMatchObject({ leftOut: 2 });
      const sizes = long?.map(({ message }) => message.replace(/[^x]/g, "").length);
      expect(sizes?.slice(0, 6)).toEqual([8_192, 8_192, 8_192, 8_192, 8_192, 8_192]);
      expect(long?.[0]?.message).toMatch(/x … \(LIMIT_LOG: 1808 more characters are left out\)$/);
      expect(long?.at(-1)).toMatchObject({ leftOut: 20 - (long?.length ?? 0) + 1 });
    });

    it("keeps fields as fields, and what is none as text", async () => {
      using bench = await EngineBench.create(make(), {
        handler: `
          const circle = { a: 1 };
          circle.self = circle;
          let deep = {};
          for (let i = 0; i < 1300; i++) deep = { d: deep };
          ctx.log.info('object', { text: 'ä€', none: undefined, at: new Date(0), __proto__: null });
          ctx.log.warn('map', [1, 2]);
          ctx.log.error('circle', circle);
          ctx.log.info('error', new Error('why'));
          ctx.log.info('number', 5);
          ctx.log.info('json', { toJSON: () => 'text' });
          ctx.log.info('deep', deep);
          ctx.log.info('x'.repeat(1_000_000), { x: 'x'.repeat(1_000_000) });
          console.log('console', { a: 1 });`,
      });
      const [result] = await bench.results({ topic: "in/a", payload: Buffer.from("1") });
      if (result?.status !== "done") throw new Error(JSON.stringify(result));
      const [object, map, circle, error, number, json, deep, long, console] = result.logs;
      expect(object).toEqual({ level: "info", message: "object", fields: '{"text":"ä€","at":"1970-01-01T00:00:00.000Z"}' });
      expect(map).toEqual({ level: "warn", message: "map [1,2]" });
      expect(circle).toEqual({ level: "error", message: "circle [unprintable]" });
      expect(error?.message).toMatch(/^error Error: why/);
      expect(number).toEqual({ level: "info", message: "number 5" });
      expect(json).toEqual({ level: "info", message: 'json "text"' });
      expect(deep?.fields).toHaveLength(2 + 1_300 * 6);
      expect(long?.message).toMatch(/^x{8192} … \(LIMIT_LOG: 991808 more characters are left out\)$/);
      expect(long?.fields).toBe('{"LIMIT_LOG":"1000008 characters of fields are left out"}');
      expect(console).toEqual({ level: "info", message: 'console {"a":1}' });
    });
  });
}
