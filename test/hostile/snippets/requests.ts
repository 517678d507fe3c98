import type { Snippet } from "../snippet.ts";

const TOLD = ["FUNCTION_THREW"] as const;

/** Answers to requests: whoever calls must get a proper one, and nothing that the function has smuggled into it. */
export const REQUESTS: readonly Snippet[] = [
  { name: "answers-with-loops", asked: true, expects: ["LIMIT_CPU"], handler: "return { get status() { for (;;); }, body: 1 };" },
  {
    name: "answers-with-a-proxy",
    asked: true,
    expects: ["LIMIT_CPU"],
    handler: "return { status: 200, headers: new Proxy({}, { ownKeys() { for (;;); } }), body: '' };",
  },
  {
    name: "answers-with-odd-status",
    asked: true,
    expects: TOLD,
    handler: "return { status: [100, 101, 999, NaN, '200', 1e9][event.seq % 6], body: '' };",
  },
  {
    name: "answers-with-split-headers",
    asked: true,
    expects: TOLD,
    handler: "return { headers: { 'x-a': 'b\\r\\nset-cookie: evil=1\\r\\n\\r\\n<script>' }, body: '' };",
  },
  {
    name: "answers-with-framing",
    asked: true,
    expects: TOLD,
    handler:
      "return { headers: [{ 'content-length': '0' }, { 'transfer-encoding': 'chunked' }, { Connection: 'x' }][event.seq % 3], body: 'x' };",
  },
  {
    name: "answers-with-many-headers",
    asked: true,
    expects: [...TOLD, "LIMIT_CPU", "LIMIT_MEMORY"],
    handler: "return { headers: Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => ['x-' + i, 'x'])), body: '' };",
  },
  { name: "answers-with-too-much", asked: true, expects: ["LIMIT_OUTPUT"], handler: "return 'x'.repeat(1e6);" },
  { name: "answers-with-a-circle", asked: true, expects: TOLD, handler: "const circle = {}; circle.circle = circle; return circle;" },
  { name: "answers-with-json-that-loops", asked: true, expects: ["LIMIT_CPU"], handler: "return { toJSON() { for (;;); } };" },
  { name: "answers-never", asked: true, expects: ["LIMIT_WALL"], handler: "await new Promise(() => undefined);" },
  {
    name: "answers-with-forged-headers",
    asked: true,
    expects: TOLD,
    handler: "RegExp.prototype.test = () => false; return { headers: { 'x-a': 'b\\r\\nset-cookie: evil=1' }, body: 'x' };",
  },
  {
    name: "answers-with-forged-size",
    asked: true,
    expects: ["LIMIT_OUTPUT"],
    plan: { limits: { cpuMs: 1_000, wallMs: 3_000, memoryBytes: 64 * 2 ** 20 } },
    prelude: `const parse = JSON.parse; JSON.parse = (text) => { const value = parse(text);
      if (value?.outputBytes > 0) value.outputBytes = 1e12; return value; };`,
    handler: "return 'x'.repeat(4e6);",
  },
];
