import { plainHandler, type Snippet } from "../snippet.ts";

/** Odd values where the runtime looks: what a handler returns, throws, logs, stores, publishes and emits. And waiting for ever. */
export const VALUES: readonly Snippet[] = [
  { name: "waits-for-ever", expects: ["LIMIT_WALL"], handler: "await new Promise(() => undefined);" },
  { name: "waits-for-one-of-many", expects: ["LIMIT_WALL"], handler: "await Promise.all([1, new Promise(() => undefined)]);" },
  { name: "waits-in-a-generator", expects: ["LIMIT_WALL"], handler: "for await (const one of [1, new Promise(() => undefined)]);" },
  {
    name: "waits-in-a-circle",
    expects: ["LIMIT_WALL"],
    handler: "let first; const second = (async () => { await 0; await first; })(); first = (async () => { await second; })(); await first;",
  },
  { name: "returns-thenable-without-end", expects: ["LIMIT_WALL"], code: plainHandler("return { then() {} };") },
  { name: "returns-function", expects: ["harmless"], code: plainHandler("return () => { for (;;); };") },
  { name: "returns-symbol", expects: ["harmless"], code: plainHandler("return Symbol.iterator;") },
  {
    name: "returns-proxy-that-loops",
    expects: ["LIMIT_CPU"],
    code: plainHandler("return new Proxy({}, { has() { for (;;); }, get() { for (;;); } });"),
  },
  {
    name: "returns-revoked-proxy",
    expects: ["FUNCTION_THREW"],
    code: plainHandler("const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy;"),
  },
  { name: "returns-getter-that-loops", expects: ["LIMIT_CPU"], code: plainHandler("return { get then() { for (;;); } };") },
  {
    name: "returns-proxy-of-itself",
    expects: ["LIMIT_WALL", "LIMIT_CPU", "FUNCTION_THREW"],
    code: plainHandler(
      "const self = new Proxy(function () {}, { get: () => self, apply: () => self, has: () => true }); return { then: self };",
    ),
  },
  { name: "throws-null", expects: ["FUNCTION_THREW"], handler: "throw null;" },
  { name: "throws-nothing", expects: ["FUNCTION_THREW"], handler: "throw undefined;" },
  { name: "throws-symbol", expects: ["FUNCTION_THREW"], handler: "throw Symbol('x');" },
  { name: "throws-number", expects: ["FUNCTION_THREW"], handler: "throw 10n ** 30n;" },
  {
    name: "throws-revoked-proxy",
    expects: ["FUNCTION_THREW"],
    handler: "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy;",
  },
  {
    name: "throws-proxy-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "throw new Proxy({}, { get() { for (;;); }, has() { for (;;); } });",
  },
  { name: "throws-name-that-loops", expects: ["LIMIT_CPU"], handler: "throw { get name() { for (;;); } };" },
  { name: "throws-message-that-loops", expects: ["LIMIT_CPU"], handler: "throw { message: { toString() { for (;;); } } };" },
  {
    name: "throws-stack-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "throw Object.defineProperty(new Error('x'), 'stack', { get() { for (;;); } });",
  },
  { name: "throws-stack-that-throws", expects: ["FUNCTION_THREW"], handler: "throw { get stack() { throw null; } };" },
  { name: "throws-long-message", expects: ["FUNCTION_THREW"], handler: "throw new Error('x'.repeat(2e6));" },
  {
    name: "throws-many-lines",
    expects: ["FUNCTION_THREW", "LIMIT_CPU"],
    handler: "const error = new Error('x'); error.stack = 'at x\\n'.repeat(2e5); throw error;",
  },
  {
    name: "throws-cause-in-a-circle",
    expects: ["FUNCTION_THREW"],
    handler: "const error = new Error('x'); error.cause = error; throw error;",
  },
  {
    name: "throws-somebody-elses-code",
    expects: ["FUNCTION_THREW"],
    handler: "throw Object.assign(new Error('x'), { code: 'LIMIT_HOPS' });",
  },
  {
    name: "throws-odd-text",
    expects: ["FUNCTION_THREW"],
    handler: "throw new Error('\\ud800 \\u0000 \\u202e' + String.fromCharCode(0xdfff));",
  },
  { name: "logs-what-loops", expects: ["LIMIT_CPU"], handler: "ctx.log.info({ toJSON() { for (;;); } });" },
  { name: "logs-what-throws", expects: ["harmless"], handler: "ctx.log.info(new Proxy({}, { get() { throw null; } }), 1n, Symbol('x'));" },
  {
    name: "logs-error-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "console.log(Object.defineProperty(new Error(), 'stack', { get() { for (;;); } }));",
  },
  { name: "emits-circle", expects: ["FUNCTION_THREW"], handler: "const circle = {}; circle.circle = circle; ctx.emit('x', circle);" },
  {
    name: "emits-endless-depth",
    expects: ["FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY"],
    handler: `const own = { enumerable: true, configurable: true, value: 1 };
      const deep = () => new Proxy({}, {
      ownKeys: () => ['a'], getOwnPropertyDescriptor: () => own, get: (_, name) => (name === 'a' ? deep() : undefined) });
      ctx.emit('x', deep());`,
  },
  { name: "emits-type-that-loops", expects: ["LIMIT_CPU"], handler: "ctx.emit('x' + { [Symbol.toPrimitive]() { for (;;); } }, 1);" },
  { name: "emits-number-too-large", expects: ["FUNCTION_THREW"], handler: "ctx.emit('x', { n: 10n });" },
  {
    name: "publishes-to-odd-topics",
    expects: ["FUNCTION_THREW"],
    handler: "ctx.publish(['$SYS/x', 'a/#', '', {}, Symbol('x')][event.seq % 5], 1);",
    mute: true,
  },
  { name: "publishes-topic-that-loops", expects: ["LIMIT_CPU"], handler: "ctx.publish({ toJSON() { for (;;); } }, 1);" },
  {
    name: "publishes-lying-bytes",
    expects: ["FUNCTION_THREW", "harmless"],
    handler: "ctx.publish('flood/x', new Proxy(new Uint8Array(4), { get: () => 2 ** 40 }));",
  },
  {
    name: "stores-deep-value",
    expects: ["FUNCTION_THREW", "LIMIT_STATE"],
    handler: "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; ctx.state.set('x', deep);",
  },
  {
    name: "stores-odd-names",
    expects: ["FUNCTION_THREW"],
    handler: "ctx.state.set(['', 'x'.repeat(1025), Symbol('x'), {}][event.seq % 4], 1);",
  },
  {
    name: "stores-proto",
    expects: ["harmless"],
    handler: "ctx.state.set('__proto__', 1); if ((await ctx.state.get('__proto__')) !== 1) throw new Error('lost');",
  },
];
