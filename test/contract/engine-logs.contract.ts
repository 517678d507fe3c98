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
  });
}
