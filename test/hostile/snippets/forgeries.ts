import type { Snippet } from "../snippet.ts";

/** Raises what the guest has been told of its limits, before it reads that. */
const UNLIMITED = `const parse = JSON.parse;
  JSON.parse = (text) => {
    const value = parse(text);
    if (value?.outputBytes > 0) Object.assign(value, {
    outputBytes: 1e12, stateValueBytes: 1e12, fetchBytes: 1e12, publish: ['#'], emit: ['*'], secrets: ['API_KEY'] });
    return value;
  };`;
const WIDE = { limits: { cpuMs: 1_000, wallMs: 3_000, memoryBytes: 96 * 2 ** 20 } };
/** Has the guest ask for state as often as it is asked to, and for whatever `keys` says, as JSON. */
const askingFor = (keys: string, times: number): string =>
  `const keys = ${keys}; JSON.stringify = () => keys; Map.prototype.has = () => false;
  for (let i = 0; i < ${times}; i++) void ctx.state.get('x');`;

/** Answers and questions that the guest code would not give: everything that it decides for the gateway, got around. */
export const FORGERIES: readonly Snippet[] = [
  {
    name: "forges-its-output-limit",
    expects: ["LIMIT_OUTPUT"],
    prelude: UNLIMITED,
    plan: WIDE,
    mute: true,
    handler: "ctx.publish('flood/x', 'x'.repeat(4e6));",
  },
  {
    name: "forges-its-event-limit",
    expects: ["LIMIT_OUTPUT"],
    prelude: UNLIMITED,
    plan: WIDE,
    mute: true,
    handler: "ctx.emit('x', 'x'.repeat(4e6));",
  },
  {
    name: "forges-its-value-limit",
    expects: ["LIMIT_STATE"],
    prelude: UNLIMITED,
    plan: WIDE,
    handler: "ctx.state.set('x', 'x'.repeat(200_000));",
  },
  {
    name: "forges-its-permissions",
    expects: ["PERMISSION_DENIED"],
    prelude: UNLIMITED,
    plan: { publish: ["allowed/#"], emit: ["allowed"] },
    mute: true,
    handler: "if (event.seq % 2 === 0) ctx.publish('cmd/door', 'open'); else ctx.emit('forbidden', 1);",
  },
  {
    name: "forges-its-secrets",
    expects: ["SECRET_MISSING", "PERMISSION_DENIED"],
    prelude: UNLIMITED,
    handler: "await ctx.secret('API_KEY');",
  },
  {
    name: "forges-topics",
    expects: ["PERMISSION_DENIED"],
    mute: true,
    handler: `RegExp.prototype.test = () => false; String.prototype.startsWith = () => false;
      ctx.publish(['$millrace/schedule/neighbour/default', '$SYS/x', 'a/+', '#', 'a\\0b'][event.seq % 5], 1);`,
  },
  {
    name: "forges-events-without-json",
    expects: ["harmless", "FUNCTION_THREW"],
    handler: "JSON.stringify = () => '{\"a\":'; ctx.emit('x', 1);",
  },
  {
    name: "forges-questions-of-lists",
    expects: ["LIMIT_CALLS", "FUNCTION_THREW"],
    plan: WIDE,
    handler: askingFor("'[' + '[],'.repeat(5e6) + '[]]'", 2),
  },
  {
    name: "forges-questions-of-many-keys",
    expects: ["LIMIT_CALLS", "FUNCTION_THREW"],
    plan: WIDE,
    handler: askingFor("'[' + Array.from({ length: 9_999 }, (_, i) => `\"${i}\"`).join() + ']'", 500),
  },
  {
    name: "forges-questions-of-much-state",
    expects: ["LIMIT_CALLS", "LIMIT_WALL", "LIMIT_CPU", "LIMIT_MEMORY", "FUNCTION_THREW", "harmless"],
    plan: { limits: { ...WIDE.limits, outputBytes: 2 ** 20 } },
    handler: `if (event.params.k === 'k0' && event.attempt === 1) for (let i = 0; i < 60; i++) ctx.state.set('n' + i, 'x'.repeat(15_000));
      else { ${askingFor("'[\"k0\"]'", 990)} await new Promise(() => undefined); }`,
  },
  {
    name: "forges-questions-with-nul",
    expects: ["LIMIT_CALLS"],
    handler: askingFor("'[\"a\\\\u0000b\"]'", 1),
  },
  {
    name: "forges-huge-results",
    expects: ["LIMIT_MEMORY", "HOST_CRASHED", "FUNCTION_THREW", "LIMIT_OUTPUT"],
    handler: "RegExp.prototype.test = () => false; globalThis.unescape = () => 'x'.repeat(2 ** 28); ctx.log.info('x'); ctx.emit('x', 1);",
    mute: true,
  },
  {
    name: "forges-by-setters-of-lists",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_CPU"],
    handler: `for (const at of [0, 1, 2]) Object.defineProperty(Array.prototype, at, { set() {}, get: () => ({
    key: 'k', flags: 255, end: 1 }), configurable: true });
      ctx.emit('x', [1]);`,
  },
  {
    name: "forges-by-broken-reflection",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_WALL"],
    handler: `Reflect.apply = () => { for (;;); }; Reflect.get = () => () => 1; Function.prototype.call = () => 1;
    Function.prototype.apply = () => 1; Function.prototype.bind = () => () => 1;
      Object.hasOwn = () => true; Object.entries = () => [['x', 1]]; setTimeout(() => 1, 1); await ctx.state.get('x');`,
  },
  {
    name: "forges-by-promise-constructor",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_WALL"],
    handler: `Object.defineProperty(Promise.prototype, 'constructor', { get() { for (;;); } });
    Promise.withResolvers = () => ({}); await ctx.state.get('x');`,
  },
  {
    name: "forges-its-own-overflow",
    expects: ["LIMIT_OUTPUT", "harmless"],
    handler: "try { ctx.publish('flood/x', 'x'.repeat(3e5)); } catch {} ctx.state.set('x', 1);",
  },
  {
    name: "forges-effects-on-a-full-stack",
    expects: ["harmless", "LIMIT_CPU", "LIMIT_OUTPUT", "FUNCTION_THREW"],
    handler: "const deeper = () => { try { deeper(); } catch { ctx.publish('flood/x', 1); } }; deeper();",
  },
];
