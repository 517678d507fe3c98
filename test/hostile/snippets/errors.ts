import type { Snippet } from "../snippet.ts";

const TOLD = ["FUNCTION_THREW"] as const;
const MAYBE = ["FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY"] as const;

/** What is thrown and logged, where the runtime reads it to tell a person. */
export const ERRORS: readonly Snippet[] = [
  {
    name: "error-with-a-chain-of-causes",
    expects: MAYBE,
    plan: { limits: { cpuMs: 500, wallMs: 2_000 } },
    handler: `let error = new Error('x'); for (let i = 0; i < 1e5; i++) error = { message: 'x', cause: error };
      throw Object.assign(new Error('top', { cause: error }));`,
  },
  { name: "error-of-many", expects: MAYBE, handler: "throw new AggregateError(Array.from({ length: 1e5 }, (_, i) => i), 'all');" },
  {
    name: "error-of-suppressed",
    expects: MAYBE,
    handler: "let e = 1; for (let i = 0; i < 1e5; i++) e = new SuppressedError(e, e, 'x'); throw e;",
  },
  {
    name: "error-whose-code-loops",
    expects: ["FUNCTION_THREW", "LIMIT_CPU"],
    handler: "throw { name: 'LimitError', get code() { for (;;); }, message: 'x' };",
  },
  {
    name: "error-that-is-forged",
    expects: TOLD,
    handler: `let made; try { ctx.publish('', 1); ctx.publish('#', 1); } catch (error) { made = error; }
      throw Object.assign(Object.create(Object.getPrototypeOf(made)), { name: 'PermanentError', code: 'LIMIT_HOPS', message: 'x' });`,
  },
  {
    name: "error-of-the-guest-with-another-code",
    expects: ["FUNCTION_THREW", "PERMISSION_DENIED"],
    plan: { emit: ["allowed"] },
    handler:
      "try { ctx.emit('forbidden', 1); } catch (error) { Object.defineProperty(error, 'code', { value: 'HOST_STARVED' }); throw error; }",
  },
  {
    name: "error-with-instanceof-that-loops",
    expects: ["LIMIT_CPU", "FUNCTION_THREW"],
    handler: "Object.defineProperty(Error, Symbol.hasInstance, { value() { for (;;); } }); ctx.log.info({}); throw {};",
  },
  {
    name: "error-with-a-frame-limit",
    expects: MAYBE,
    handler:
      "Error.stackTraceLimit = Infinity; const deeper = (n) => { if (n === 0) throw new Error('x'.repeat(1e5)); deeper(n - 1); }; deeper(5_000);",
  },
  {
    name: "error-with-a-name-of-lines",
    expects: TOLD,
    handler: "const error = new Error('a\\nb\\r\\n\\u2028c'); error.name = 'x\\n'.repeat(1e4); throw error;",
  },
  { name: "error-that-is-a-promise", expects: TOLD, handler: "throw Promise.reject(new Error('x'));" },
  {
    name: "error-that-grows",
    expects: MAYBE,
    handler: "let n = 0; throw { get message() { return 'x'.repeat(1e5 * ++n); }, toJSON() { return this; } };",
  },
  {
    name: "logs-with-many-arguments",
    expects: ["harmless", "LIMIT_CPU", "FUNCTION_THREW"],
    handler: "console.log(...new Array(1e5).fill('x'));",
  },
  {
    name: "logs-a-large-object",
    expects: ["harmless", "LIMIT_CPU", "LIMIT_MEMORY"],
    handler: "ctx.log.info('x', Object.fromEntries(Array.from({ length: 2e4 }, (_, i) => ['k' + i, i])));",
  },
  {
    name: "logs-deep-fields",
    expects: ["harmless", "FUNCTION_THREW"],
    handler: `const stringify = JSON.stringify; JSON.stringify = (v) => '{"a":' + '['.repeat(3_900) + ']'.repeat(3_900) + '}';
      ctx.log.info('x', { a: 1 });`,
  },
  { name: "logs-fields-with-traps", expects: ["LIMIT_CPU"], handler: "ctx.log.info('x', new Proxy({}, { ownKeys() { for (;;); } }));" },
  {
    name: "logs-fields-that-grow",
    expects: ["harmless", "LIMIT_LOG", "LIMIT_CPU", "LIMIT_MEMORY"],
    handler: `let n = 0; const odd = { toJSON() { return n++ < 50 ? { odd } : 'x'; } }; ctx.log.warn('x', odd); ctx.log.info({
      [Symbol.toPrimitive]() { for (;;); } });`,
  },
  {
    name: "logs-control-characters",
    expects: ["harmless"],
    handler: "ctx.log.error('\\u001b[2J\\u0007\\u0000\\r\\n\\u202e\\ud800', { '\\u0000': '\\u001b]0;x\\u0007', __proto__: null });",
  },
];
