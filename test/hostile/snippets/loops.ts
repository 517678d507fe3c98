import { plainHandler, type Snippet } from "../snippet.ts";

/** A V8 builtin that no timeout interrupts, so that only the watchdog outside helps; on a fast machine some of them end by themselves. */
const UNSTOPPABLE = ["LIMIT_CPU", "LIMIT_MEMORY", "HOST_CRASHED"] as const;

/** Computing without end: loops, microtasks, regular expressions, sorting, numbers, and builtins that cannot be interrupted. */
export const LOOPS: readonly Snippet[] = [
  { name: "loop-for", expects: ["LIMIT_CPU"], handler: "for (;;);" },
  { name: "loop-labels", expects: ["LIMIT_CPU"], handler: "outer: for (;;) for (;;) continue outer;" },
  { name: "loop-clock", expects: ["LIMIT_CPU"], handler: "do {} while (Date.now() > 0);" },
  { name: "loop-finally", expects: ["LIMIT_CPU"], handler: "for (;;) { try { return; } finally { continue; } }" },
  { name: "loop-generator", expects: ["LIMIT_CPU"], handler: "function* all() { for (;;) yield 1; } for (const one of all());" },
  {
    name: "loop-async-generator",
    expects: ["LIMIT_CPU"],
    handler: "async function* all() { for (;;) yield 1; } for await (const one of all());",
  },
  { name: "loop-await-known-values", expects: ["LIMIT_CPU"], handler: "for (;;) await 0;" },
  { name: "loop-after-state", expects: ["LIMIT_CPU"], handler: "await ctx.state.get('x'); for (;;);" },
  { name: "loop-of-state-reads", expects: ["LIMIT_CPU", "LIMIT_WALL"], handler: "for (;;) await ctx.state.get('x');" },
  { name: "loop-left-behind", expects: ["LIMIT_CPU"], code: plainHandler("(async () => { for (;;) await 0; })();") },
  { name: "loop-in-recursion", expects: ["LIMIT_CPU"], handler: "const again = () => { try { again(); } catch { again(); } }; again();" },
  {
    name: "microtask-flood",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    handler: "const again = () => Promise.resolve().then(again); await again();",
  },
  {
    name: "microtask-fan-out",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    handler:
      "const grow = () => { for (let i = 0; i < 10; i++) Promise.resolve().then(grow); }; grow(); await new Promise(() => undefined);",
  },
  {
    name: "microtask-thenable",
    expects: ["LIMIT_CPU"],
    handler: "const endless = { then(resolve) { resolve(endless); } }; await endless;",
  },
  { name: "regex-nested", expects: ["LIMIT_CPU"], handler: "/^(a+)+$/.test('a'.repeat(50) + 'b');" },
  { name: "regex-alternatives", expects: ["LIMIT_CPU"], handler: "/^(a|aa|aaa)*$/.test('a'.repeat(80) + 'b');" },
  { name: "regex-halves", expects: ["LIMIT_CPU"], handler: "/(x+x+)+y/.test('x'.repeat(60));" },
  { name: "regex-replacer", expects: ["LIMIT_CPU"], handler: "'a'.repeat(1e6).replace(/a/g, () => { for (;;); });" },
  {
    name: "sort-undecided",
    expects: ["LIMIT_CPU"],
    handler: "const all = Array.from({ length: 1e4 }, (_, i) => i); for (;;) all.sort(() => Math.random() - 0.5);",
  },
  { name: "sort-of-everything", expects: UNSTOPPABLE, handler: "new Array(1e8).fill(0).sort();" },
  { name: "bigint-power", expects: UNSTOPPABLE, handler: "3n ** (2n ** 28n);" },
  { name: "bigint-power-of-two", expects: [...UNSTOPPABLE, "harmless"], handler: "2n ** (2n ** 29n);" },
  { name: "bigint-square", expects: [...UNSTOPPABLE, "FUNCTION_THREW"], handler: "let x = 3n; for (;;) x = x * x;" },
  { name: "bigint-digits", expects: [...UNSTOPPABLE, "FUNCTION_THREW"], handler: "for (;;) (7n ** 3_000_000n).toString();" },
  { name: "bigint-parse", expects: [...UNSTOPPABLE, "FUNCTION_THREW"], handler: "for (;;) BigInt('9'.repeat(2e6));" },
  { name: "builtin-fill", expects: UNSTOPPABLE, handler: "Array.prototype.fill.call({ length: 2 ** 53 - 1 }, 0);" },
  { name: "builtin-search", expects: UNSTOPPABLE, handler: "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);" },
  {
    name: "builtin-prototype-circle",
    expects: [...UNSTOPPABLE, "FUNCTION_THREW"],
    handler: "const circle = new Proxy({}, { getPrototypeOf: () => circle }); circle instanceof Object;",
  },
  { name: "json-reviver", expects: ["LIMIT_CPU"], handler: "JSON.parse('[1]', () => { for (;;); });" },
  { name: "json-again-and-again", expects: UNSTOPPABLE, handler: "const all = Array(1e5).fill('x'); for (;;) JSON.stringify(all);" },
  {
    name: "intl-formats",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY", "HOST_CRASHED"],
    handler: "for (;;) new Intl.DateTimeFormat('de', { dateStyle: 'full' }).format(new Date());",
  },
  {
    name: "intl-segments",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY", "HOST_CRASHED"],
    handler: "for (;;) [...new Intl.Segmenter('ja').segment('\u6f22'.repeat(1e5))];",
  },
  {
    name: "species-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "class Odd extends Array { static get [Symbol.species]() { for (;;); } } Odd.from([1]).map((x) => x);",
  },
  {
    name: "proxy-endless-keys",
    expects: ["LIMIT_CPU"],
    handler: "Object.keys(new Proxy({}, { ownKeys: () => { for (;;); } }));",
  },
];
