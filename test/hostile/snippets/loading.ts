import type { Snippet } from "../snippet.ts";

const LOAD = ["FUNCTION_LOAD_FAILED"] as const;
/** While it is loaded it takes its host with it. */
const LOAD_CRASH = ["FUNCTION_LOAD_FAILED", "HOST_CRASHED"] as const;
const OK = "var __millrace = { default: { handler() {} } };";

/** Harm done while the code is loaded, and exports that are not what they seem. */
export const LOADING: readonly Snippet[] = [
  { name: "load-throws", expects: LOAD, prelude: "throw new Error('not today');" },
  { name: "load-throws-null", expects: LOAD, prelude: "throw null;" },
  { name: "load-throws-what-loops", expects: LOAD_CRASH, prelude: "throw { get message() { for (;;); }, get stack() { for (;;); } };" },
  { name: "load-loops", expects: LOAD, prelude: "for (;;);" },
  { name: "load-microtasks", expects: LOAD, prelude: "const again = () => Promise.resolve().then(again); again();" },
  { name: "load-fills-memory", expects: LOAD_CRASH, prelude: "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));" },
  { name: "load-crashes", expects: LOAD_CRASH, prelude: "'x'.repeat(2 ** 29 - 24).split('');" },
  { name: "load-cannot-be-stopped", expects: LOAD_CRASH, prelude: "3n ** (2n ** 28n);" },
  { name: "load-not-javascript", expects: LOAD, code: "var __millrace = {" },
  { name: "load-nothing", expects: LOAD, code: "'nothing';" },
  { name: "load-handler-is-no-function", expects: LOAD, code: "var __millrace = { default: { handler: {} } };" },
  { name: "load-deep-source", expects: LOAD, code: `var __millrace = ${"(".repeat(100_000)}1${")".repeat(100_000)};` },
  { name: "load-huge-source", expects: ["harmless", ...LOAD], code: `${OK}\nvar text = '${"x".repeat(4_000_000)}';` },
  { name: "load-much-code", expects: ["harmless", ...LOAD], code: `${OK}\n${"function f(a) { return a + 1; }\n".repeat(60_000)}` },
  { name: "load-getter-that-loops", expects: LOAD, code: "Object.defineProperty(globalThis, '__millrace', { get() { for (;;); } });" },
  { name: "load-handler-getter-that-loops", expects: LOAD, code: "var __millrace = { default: { get handler() { for (;;); } } };" },
  {
    name: "load-handler-changes",
    expects: ["FUNCTION_THREW", "FUNCTION_LOAD_FAILED", "harmless"],
    code: "let n = 0; var __millrace = { default: { get handler() { return n++ < 2 ? () => undefined : n; } } };",
  },
  { name: "load-proxy", expects: ["harmless"], code: "var __millrace = { default: { handler: new Proxy(() => undefined, {}) } };" },
  {
    name: "load-proxy-that-loops",
    expects: ["LIMIT_CPU"],
    code: "var __millrace = { default: { handler: new Proxy(() => undefined, { apply() { for (;;); } }) } };",
  },
  {
    name: "load-proxy-of-everything",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_WALL", ...LOAD],
    code: "var __millrace = new Proxy(function () {}, { get: (target, name, self) => self, apply: () => undefined, has: () => true });",
  },
  {
    name: "load-poisons-json",
    expects: ["harmless", "FUNCTION_THREW", ...LOAD],
    prelude: "JSON.parse = () => ({}); JSON.stringify = () => 'x';",
  },
  {
    name: "load-poisons-then",
    expects: ["harmless", "LIMIT_CPU", "LIMIT_WALL", ...LOAD],
    prelude: "Object.defineProperty(Object.prototype, 'then', { get() { for (;;); } });",
  },
  {
    name: "load-poisons-console",
    expects: ["harmless", ...LOAD],
    prelude: "Object.defineProperty(globalThis, 'console', { value: 1, configurable: false });",
  },
  {
    name: "load-poisons-keys",
    expects: ["harmless", "FUNCTION_THREW", ...LOAD],
    prelude:
      "for (const name of ['start', 'take', 'finish', 'salvage']) Object.defineProperty(Object.prototype, name, { get() { for (;;); } });",
  },
];
