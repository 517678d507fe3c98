import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/runtime/host/engine.ts";
import { EngineBench, type Called } from "./engine-bench.ts";

type Answer = { readonly head: object; readonly body?: Buffer };

const HEAD = {
  status: 200,
  statusText: "OK",
  url: "https://a.example.com/x",
  redirected: false,
  headers: [["content-type", "text/plain"]],
};

function answerWith(text: string | Buffer, more: object = {}): () => Answer {
  return () => ({ head: { ...HEAD, ...more }, body: Buffer.from(text) });
}

const MISSES = (): Answer => ({ head: { error: { code: "SECRET_MISSING", message: "set it" } } });
const FAILS = (): Answer => ({ head: { error: { code: "FETCH_FAILED", message: "because" } } });

/** What every engine does with a function that asks the gateway for something. */
export function engineFetchContract(make: () => Engine): void {
  /** What the only message emits, and what was asked. */
  async function emitted(handler: string, answer: (call: Called) => Answer | undefined = answerWith("x")): Promise<[unknown, Called[]]> {
    using bench = await EngineBench.create(make(), { handler, answer });
    const value = await bench.emitted({ topic: "in/a" });
    return [value, bench.called.filter((call) => typeof call !== "number")];
  }

  describe("a secret", () => {
    it("that the manifest names comes from the gateway, each time anew", async () => {
      let asked = 0;
      using bench = await EngineBench.create(make(), {
        handler: "ctx.emit('x', [await ctx.secret('KEY'), await ctx.secret('KEY')]);",
        secrets: ["KEY"],
        answer: () => ({ head: { value: `value ${++asked}` } }),
      });
      expect(await bench.emitted({ topic: "in/a" })).toEqual(["value 1", "value 2"]);
      expect(bench.called).toMatchObject([
        { what: 1, head: "KEY" },
        { what: 1, head: "KEY" },
      ]);
    });

    it("that it does not name is not asked for", async () => {
      using bench = await EngineBench.create(make(), { handler: "await ctx.secret('OTHER');", secrets: ["KEY"] });
      expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "failed", code: "PERMISSION_DENIED" }]);
      expect(bench.called).toEqual([]);
    });

    it("that is missing makes the message come again", async () => {
      using bench = await EngineBench.create(make(), { handler: "await ctx.secret('KEY');", secrets: ["KEY"], answer: MISSES });
      expect(await bench.run({ topic: "in/a" })).toEqual([{ status: "retry", code: "SECRET_MISSING" }]);
    });
  });

  describe("fetch", () => {
    it("hands the request to the gateway, and the answer to the handler", async () => {
      const [seen, called] = await emitted(
        `const response = await ctx.fetch("https://a.example.com/x", { method: "post", headers: { "X-One": " 1 " }, body: "grüß" });
         ctx.emit("x", [response.status, response.ok, response.statusText, response.url, response.headers.get("Content-Type"),
           await response.text(), response.bodyUsed]);`,
        answerWith("Straße \u{1F600}"),
      );
      expect(seen).toEqual([200, true, "OK", "https://a.example.com/x", "text/plain", "Straße \u{1F600}", true]);
      const headers = [
        ["content-type", "text/plain;charset=UTF-8"],
        ["x-one", "1"],
      ];
      expect(called).toEqual([
        { what: 0, head: { url: "https://a.example.com/x", method: "POST", redirect: "follow", headers }, body: Buffer.from("grüß") },
      ]);
    });

    it("is a global too, and takes bytes, an address object and what looks like a request", async () => {
      const [seen, called] = await emitted(
        `const bytes = new Uint8Array([0, 255, 13, 10]);
         await fetch({ toString: () => "https://a.example.com/1", href: "x" }, { method: "PUT", body: bytes.subarray(1) });
         const like = { url: "https://a.example.com/2", method: "PUT", headers: new Headers([["a", "b"]]), body: bytes.buffer };
         const response = await fetch(like, { method: "PATCH" });
         ctx.emit("x", [[...await response.bytes()], response.clone === undefined]);`,
        answerWith(Buffer.from([1, 2, 255])),
      );
      expect(seen).toEqual([[1, 2, 255], false]);
      expect(called).toMatchObject([
        { head: { url: "https://a.example.com/1", method: "PUT", headers: [] }, body: Buffer.from([255, 13, 10]) },
        { head: { url: "https://a.example.com/2", method: "PATCH", headers: [["a", "b"]] }, body: Buffer.from([0, 255, 13, 10]) },
      ]);
    });

    it("gives JSON, bytes once, and odd statuses as they are", async () => {
      const handler = `const response = await fetch("https://a.example.com/");
        const copy = response.clone(); const errors = [];
        const json = await response.json(); try { await response.text(); } catch (error) { errors.push(error.name); }
        ctx.emit("x", [json, (await copy.arrayBuffer()).byteLength, response.status, response.ok, errors,
          response.headers.getSetCookie(), [...response.headers.keys()]]);`;
      const headers = [
        ["set-cookie", "a=1"],
        ["b", "2"],
        ["set-cookie", "c=3"],
      ];
      expect((await emitted(handler, answerWith('{"a":[1]}', { status: 999, headers })))[0]).toEqual([
        { a: [1] },
        9,
        999,
        false,
        ["TypeError"],
        ["a=1", "c=3"],
        ["b", "set-cookie", "set-cookie"],
      ]);
    });

    it("has Headers and Response that can be made", async () => {
      const handler = `const headers = new Headers({ B: "1", a: "2" }); headers.append("b", "3"); headers.set("c", "4"); headers.delete("a");
        const refused = []; for (const wrong of [["a b", "1"], ["a", "1\\r\\nb: 2"], ["a", "\\u0100"], ["", "x"]])
          try { headers.set(...wrong); } catch (error) { refused.push(error.name); }
        const made = Response.json({ x: 1 }, { status: 201 });
        ctx.emit("x", [[...headers], refused, made.status, made.headers.get("content-type"), await made.json(), await new Response("t").text()]);`;
      expect((await emitted(handler))[0]).toEqual([
        [
          ["b", "1, 3"],
          ["c", "4"],
        ],
        ["TypeError", "TypeError", "TypeError", "TypeError"],
        201,
        "application/json",
        { x: 1 },
        "t",
      ]);
    });

    it.each([
      ["FETCH_FAILED", "retry", "FETCH_FAILED"],
      ["FETCH_FORBIDDEN", "failed", "FETCH_FORBIDDEN"],
      ["LIMIT_FETCH", "failed", "LIMIT_FETCH"],
      ["", "retry", "FUNCTION_THREW"],
    ])("that the gateway refuses with %j makes the message %s as %s", async (code, status, told) => {
      const answer = (): Answer => ({ head: { error: { code, message: "because" } } });
      using bench = await EngineBench.create(make(), { handler: 'await fetch("https://a.example.com/");', answer });
      expect(await bench.run({ topic: "in/a" })).toEqual([{ status, code: told }]);
    });

    it("that fails can be caught, with its code", async () => {
      const handler = "await fetch('https://a/').catch((error) => ctx.emit('x', [error.code, error.message, error instanceof TypeError]));";
      expect((await emitted(handler, FAILS))[0]).toEqual(["FETCH_FAILED", "because", true]);
    });

    it.each([
      ["fetch('https://a/', { body: 'x' })", /has no body/],
      ["fetch('https://a/', { method: 'CONNECT' })", /the method is one of/],
      ["fetch('https://a/', { method: 'POST', body: { a: 1 } })", /JSON.stringify/],
      ["fetch('https://a/', { headers: { a: 'x\\ny' } })", /line break/],
      ["fetch('https://a/', { redirect: 'x' })", /redirect is one of/],
      ["fetch('https://a/' + 'x'.repeat(9000))", /8192 characters/],
      ["fetch('https://a/', { method: 'POST', body: 'x'.repeat(2 ** 20 + 1) })", /limits.fetch/],
      ["fetch('https://a/', { headers: { a: 'x'.repeat(20_000) } })", /16384 characters/],
      ["Promise.all(Array.from({ length: 101 }, () => fetch('https://a/')))", /100 times/],
    ])("%s is refused before it gets anywhere", async (code, problem) => {
      expect((await emitted(`await ${code}.catch((error) => ctx.emit("x", error.message));`))[0]).toMatch(problem);
    });

    it("is counted anew for each message, and ends with it", async () => {
      const handler =
        "for (let i = 0; i < 100; i++) fetch('https://a/' + i); if (event.params.k === 'waits') await fetch('https://a/x').catch(() => 1);";
      using bench = await EngineBench.create(make(), { handler, answer: () => undefined });
      expect(await bench.run({ topic: "in/a" }, { topic: "in/b" })).toEqual([{ status: "done" }, { status: "done" }]);
      const off = bench.called.filter((call) => typeof call === "number");
      expect(off).toHaveLength(200);
      expect(new Set(off).size).toBe(200);
    });

    it("is called off with its signal, and says why", async () => {
      const signal = `const listeners = new Set();
        const signal = { aborted: false, reason: undefined, addEventListener: (_, f) => listeners.add(f), removeEventListener: (_, f) => listeners.delete(f) };
        const abort = () => { signal.aborted = true; signal.reason = new Error("enough"); for (const f of [...listeners]) f(); };`;
      const handler = `${signal} const asked = fetch("https://a/", { signal }).catch((error) => error.message); abort();
        ctx.emit("x", [await asked, listeners.size, await fetch("https://a/", { signal }).catch((error) => error.message)]);`;
      using bench = await EngineBench.create(make(), { handler, answer: () => undefined });
      expect(await bench.emitted({ topic: "in/a" })).toEqual(["enough", 0, "enough"]);
      expect(bench.called).toMatchObject([{ what: 0 }, 1]);
    });

    it("is of no use outside of a message", async () => {
      using bench = await EngineBench.create(make(), {
        prelude: "let early; fetch('https://a/').catch((error) => { early = error.message; });",
        handler: "ctx.emit('x', early);",
      });
      expect(await bench.emitted({ topic: "in/a" })).toBe("the gateway can be asked only while a message is handled");
    });

    it("lets a handler go on after thousands of them, one after the other", async () => {
      const handler = "for (let i = 0; i < 40; i++) await (await fetch('https://a/')).text();";
      using bench = await EngineBench.create(make(), { handler, answer: answerWith("x".repeat(1_000)) });
      const results = await bench.run(...Array.from({ length: 100 }, () => ({ topic: "in/a" })));
      expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["done"]));
      expect(bench.called).toHaveLength(4_000);
    });
  });
}
