import { describe, expect, it } from "vitest";
import { buildFunction } from "../../../src/runtime/build/build.ts";
import type { Engine } from "../../../src/runtime/host/engine.ts";
import { EngineBench } from "../../contract/engine-bench.ts";
import { engineWith } from "../../support/engine.ts";
import { plainEngine } from "../../support/plain-engine.ts";
import { temporaryFolder } from "../../unit/build/folder.ts";

const MANIFEST = "name: a\napi: 1\ntriggers:\n  - mqtt: in/+k\n";

/** The bundle of a function that emits what the expression gives. */
async function built(expression: string, prelude = ""): Promise<string> {
  const entry = `${prelude}\nexport default { async handler(event, ctx) { ctx.emit("found", ${expression}); } };`;
  await using folder = await temporaryFolder({ "function.yaml": MANIFEST, "index.ts": entry });
  return (await buildFunction(folder.path)).code;
}

const ENGINES: readonly (readonly [string, () => Engine])[] = [
  ["isolated-vm", () => engineWith(() => false)],
  ["the plain engine", plainEngine],
];

describe.each(ENGINES)("a function that is built, on %s", (_name, make) => {
  async function found(expression: string, prelude?: string): Promise<unknown> {
    using bench = await EngineBench.create(make(), { handler: "", code: await built(expression, prelude) });
    return await bench.emitted({ topic: "in/a" });
  }

  it.each([
    ["[...new TextEncoder().encode('aé😀')]", [97, 195, 169, 240, 159, 152, 128]],
    ["new TextDecoder('utf-8').decode(event.bytes.fill(0xff))", "\ufffd\ufffd\ufffd\ufffd"],
    ["new URL('../x?q=ü#f', 'http://bücher.example:80/a/b/').href", "http://xn--bcher-kva.example/a/x?q=%C3%BC#f"],
    [
      "[...new URLSearchParams({ a: 1, b: 'x y' })].concat([[new URLSearchParams('?c=%20').toString(), 1]])",
      [
        ["a", "1"],
        ["b", "x y"],
        ["c=+", 1],
      ],
    ],
    ["atob(btoa('\\u00ff!'))", "ÿ!"],
    ["structuredClone({ when: new Date(5), map: new Map([[1, new Set([2])]]) }).map.get(1).has(2)", true],
    [
      "(() => { const b = new ArrayBuffer(4); const c = structuredClone(b, { transfer: [b] }); return [b.detached, c.byteLength]; })()",
      [true, 4],
    ],
    ["(() => { const c = new AbortController(); c.abort(); return [c.signal.aborted, c.signal.reason.name]; })()", [true, "AbortError"]],
    [
      "(() => { try { structuredClone(() => 1); } catch (error) { return [error instanceof DOMException, error.name]; } })()",
      [true, "DataCloneError"],
    ],
    ["new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc'))).toHex().slice(0, 8)", "ba7816bf"],
    ["[crypto.randomUUID().length, globalThis.crypto.getRandomValues(new Uint8Array(3)).length, typeof crypto.subtle]", [36, 3, "object"]],
    [
      "await new Promise((resolve) => AbortSignal.timeout(2).addEventListener('abort', (e) => resolve(e.target.reason.name)))",
      "TimeoutError",
    ],
    ["[typeof globalThis.URL, typeof TextEncoder, globalThis.atob('YQ==')]", ["function", "function", "a"]],
  ])("finds %s", async (expression, expected) => {
    expect(await found(expression)).toEqual(expected);
  });

  it("finds them while it is loaded, and keeps names that it declares itself", async () => {
    expect(await found("[host, atob(1)]", "const host = new URL('http://h/').host;\nfunction atob(x) { return `mine ${x}`; }")).toEqual([
      "h",
      "mine 1",
    ]);
  });

  it("whose listener throws tells the log, and the next one is called", async () => {
    const throwing = "target.addEventListener('x', () => { throw new RangeError('no'); });";
    const prelude = `const target = new EventTarget();\n${throwing}\nlet seen = 0;\ntarget.addEventListener('x', () => seen++);`;
    using bench = await EngineBench.create(make(), {
      handler: "",
      code: await built("[target.dispatchEvent(new Event('x')), seen]", prelude),
    });
    expect(await bench.run({ topic: "in/a" })).toMatchObject([
      { status: "done", events: [[true, 1]], logs: [expect.stringMatching(/^error RangeError: no/)] },
    ]);
  });
});

describe("the bundle of a function", () => {
  it("holds only the globals that something in it names", async () => {
    const plain = await built("1");
    expect(await built("{ URL: 1 }.URL", "const unused = () => new TextDecoder();")).not.toMatch(/TextDecoder|class/);
    expect(plain.length).toBeLessThan(500);
    const one = await built("atob('')");
    expect(one).toContain("fromBase64");
    expect(one).not.toMatch(/TextEncoder|URLSearchParams|btoa/);
  });
});
