import type { Snippet } from "../snippet.ts";

/** What has no limit but memory gets time to fill it. */
const LONG = { limits: { cpuMs: 2_000, wallMs: 5_000 } };
const MEMORY = ["LIMIT_MEMORY"] as const;
/** One allocation that is too large at once: V8 may end the isolate or give up the whole process. */
const AT_ONCE = ["LIMIT_MEMORY", "HOST_CRASHED"] as const;
/** V8 refuses it with a RangeError of its own, or there is not enough memory for it. */
const REFUSED = ["FUNCTION_THREW", "LIMIT_MEMORY"] as const;

const filling = (what: string): string => `const all = []; for (;;) all.push(${what});`;

/** Memory of every kind: many small things, few large ones, and the stack. */
export const MEMORY_BOMBS: readonly Snippet[] = [
  { name: "memory-arrays", expects: MEMORY, plan: LONG, handler: filling("new Array(10_000).fill(all.length)") },
  { name: "memory-objects", expects: MEMORY, plan: LONG, handler: filling("{ a: { b: { c: all.length } } }") },
  { name: "memory-strings", expects: MEMORY, plan: LONG, handler: filling("JSON.stringify(Array(1000).fill(all.length))") },
  { name: "memory-closures", expects: MEMORY, plan: LONG, handler: filling("((n) => () => n + all.length)(all.length)") },
  { name: "memory-functions", expects: [...MEMORY, "LIMIT_CPU"], plan: LONG, handler: filling("Function('return ' + all.length)") },
  {
    name: "memory-expressions",
    expects: [...MEMORY, "LIMIT_CPU"],
    plan: LONG,
    handler: filling("new RegExp('a'.repeat(1000) + all.length)"),
  },
  { name: "memory-symbols", expects: MEMORY, plan: LONG, handler: filling("Symbol('s'.repeat(100) + all.length)") },
  { name: "memory-promises", expects: MEMORY, plan: LONG, handler: filling("new Promise(() => undefined).then(() => all)") },
  { name: "memory-numbers", expects: MEMORY, plan: LONG, handler: filling("2n ** 100_000n + BigInt(all.length)") },
  {
    name: "memory-map",
    expects: [...MEMORY, "FUNCTION_THREW"],
    plan: LONG,
    handler: "const all = new Map(); for (let i = 0; ; i++) all.set(i, 'x' + i);",
  },
  {
    name: "memory-set",
    expects: [...MEMORY, "FUNCTION_THREW"],
    plan: LONG,
    handler: "const all = new Set(); for (let i = 0; ; i++) all.add('x' + i);",
  },
  { name: "memory-typed-arrays", expects: [...MEMORY, "FUNCTION_THREW"], plan: LONG, handler: filling("new Uint8Array(1e6).fill(1)") },
  { name: "memory-buffer", expects: REFUSED, plan: LONG, handler: "new Uint8Array(new ArrayBuffer(2 ** 30)).fill(1);" },
  {
    name: "memory-buffer-that-grows",
    expects: REFUSED,
    plan: LONG,
    handler: "const grows = new ArrayBuffer(1, { maxByteLength: 2 ** 31 }); grows.resize(2 ** 30); new Uint8Array(grows).fill(1);",
  },
  { name: "memory-sparse", expects: AT_ONCE, plan: LONG, handler: "globalThis.kept = new Array(1e8).fill(0);" },
  {
    name: "memory-rope",
    expects: AT_ONCE,
    plan: LONG,
    handler: "let rope = 'ab'; for (let i = 0; i < 27; i++) rope += rope; globalThis.kept = /c/.test(rope) ? 1 : rope;",
  },
  { name: "memory-pad", expects: AT_ONCE, plan: LONG, handler: "/c/.test(globalThis.kept = 'x'.padEnd(2 ** 29 - 25, 'ab'));" },
  { name: "memory-split", expects: AT_ONCE, plan: LONG, handler: "'x'.repeat(2 ** 29 - 24).split('');" },
  {
    name: "memory-concat",
    expects: [...AT_ONCE, "FUNCTION_THREW"],
    plan: LONG,
    handler: "let all = [1]; for (;;) all = all.concat(all);",
  },
  {
    name: "memory-json",
    expects: [...AT_ONCE, "FUNCTION_THREW", "LIMIT_CPU"],
    plan: LONG,
    handler: "JSON.stringify(Array(5e6).fill('x'.repeat(100)));",
  },
  {
    name: "memory-nested-text",
    expects: [...AT_ONCE, "FUNCTION_THREW", "LIMIT_CPU"],
    plan: LONG,
    handler: "let nest = [1]; for (let i = 0; i < 30; i++) nest = [nest, nest]; String(nest);",
  },
  {
    name: "memory-normalized",
    expects: [...AT_ONCE, "FUNCTION_THREW", "LIMIT_CPU"],
    plan: LONG,
    handler: "globalThis.kept = '\ufdfa'.repeat(2 ** 23).normalize('NFKC');",
  },
  {
    name: "memory-of-all-messages",
    expects: ["LIMIT_MEMORY", "harmless"],
    handler: "(globalThis.kept ??= []).push(new Array(4e5).fill(event.seq));",
  },
  {
    name: "memory-weak",
    expects: [...MEMORY, "LIMIT_CPU"],
    plan: LONG,
    handler: "const all = []; for (;;) { const one = { all }; all.push(new WeakRef(one)); }",
  },
  { name: "stack-recursion", expects: ["FUNCTION_THREW"], handler: "const deeper = () => deeper() + 1; deeper();" },
  {
    name: "stack-json",
    expects: ["FUNCTION_THREW", "harmless"],
    handler: "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; JSON.stringify(deep);",
  },
  {
    name: "stack-flat",
    expects: ["FUNCTION_THREW", "LIMIT_CPU"],
    handler: "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; deep.flat(Infinity);",
  },
  { name: "stack-arguments", expects: REFUSED, handler: "Math.max(...new Array(1e7));" },
  { name: "length-impossible", expects: ["FUNCTION_THREW"], handler: "Array.from({ length: 2 ** 32 });" },
  { name: "length-possible", expects: [...AT_ONCE, "LIMIT_CPU"], plan: LONG, handler: "Array.from({ length: 2 ** 32 - 1 });" },
];
