import { plainHandler, type Snippet } from "../snippet.ts";

const TOLD = ["FUNCTION_THREW"] as const;
const MUCH = ["LIMIT_CPU", "LIMIT_MEMORY", "FUNCTION_THREW"] as const;
const ITSELF = ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_WALL", "LIMIT_MEMORY"] as const;
/** No builtin of these can be interrupted. */
const NATIVE = ["LIMIT_CPU", "LIMIT_WALL", "LIMIT_MEMORY", "HOST_CRASHED", "FUNCTION_THREW", "harmless"] as const;

const odd = (name: string, expects: Snippet["expects"], handler: string, more: Partial<Snippet> = {}): Snippet => ({
  name: `odd-${name}`,
  expects,
  handler,
  ...more,
});

/** What the language has that few use: where it meets the runtime, and where it takes long. */
export const ODDITIES: readonly Snippet[] = [
  {
    name: "odd-generator-for-a-handler",
    expects: ["harmless"],
    code: "var __millrace = { default: { *handler() { for (;;) yield 1; } } };",
  },
  {
    name: "odd-asynchronous-generator-for-a-handler",
    expects: ["harmless"],
    code: "var __millrace = { default: { async *handler() { for (;;) yield 1; } } };",
  },
  {
    name: "odd-class-for-a-handler",
    expects: TOLD,
    code: "var __millrace = { default: { handler: class { constructor() { for (;;); } } } };",
  },
  {
    name: "odd-class-for-a-definition",
    expects: ["FUNCTION_LOAD_FAILED"],
    code: "var __millrace = { default: class { static handler() { for (;;); } } };",
  },
  {
    name: "odd-bound-handler",
    expects: ["LIMIT_CPU"],
    code: "var __millrace = { default: { handler: (() => { for (;;); }).bind(null).bind(null) } };",
  },
  { name: "odd-handler-of-eval", expects: ["harmless", ...TOLD], code: "var __millrace = { default: { handler: eval } };" },
  { name: "odd-handler-of-a-builtin", expects: ITSELF, code: "var __millrace = { default: { handler: Array.from } };" },
  {
    name: "odd-generator-for-init",
    expects: ["harmless"],
    code: "var __millrace = { default: { *init() { for (;;) yield 1; }, handler() {} } };",
  },
  {
    name: "odd-init-that-is-a-getter",
    expects: ["FUNCTION_LOAD_FAILED"],
    code: "var __millrace = { default: { get init() { for (;;); }, handler() {} } };",
  },
  { name: "odd-init-with-recursion", expects: ["FUNCTION_LOAD_FAILED"], init: "const deeper = () => deeper() + 1; deeper();" },
  {
    name: "odd-init-with-microtasks",
    expects: ["FUNCTION_LOAD_FAILED"],
    init: "const again = () => Promise.resolve().then(again); await again();",
  },
  {
    name: "odd-init-that-kills-its-host",
    expects: ["FUNCTION_LOAD_FAILED", "HOST_CRASHED"],
    init: "'x'.repeat(2 ** 29 - 24).split('');",
    messagesMax: 1,
  },
  { name: "odd-init-that-throws-null", expects: ["FUNCTION_LOAD_FAILED"], init: "throw null;" },
  { name: "odd-init-that-throws-what-loops", expects: ["FUNCTION_LOAD_FAILED"], init: "throw { get stack() { for (;;); } };" },
  {
    name: "odd-init-that-throws-megabytes",
    expects: ["FUNCTION_LOAD_FAILED"],
    init: "throw Object.assign(new Error('x'), { stack: 'x'.repeat(8e6) });",
  },
  {
    name: "odd-init-that-forges-its-answer",
    expects: ["FUNCTION_LOAD_FAILED", "harmless"],
    init: 'RegExp.prototype.test = () => true; JSON.stringify = () => \'{"code":"x","message":"\' + \'x\'.repeat(200_000) + \'"}\'; throw 1;',
  },
  { name: "odd-load-that-throws-megabytes", expects: ["FUNCTION_LOAD_FAILED"], prelude: "throw new Error('x'.repeat(8e6));" },
  {
    name: "odd-load-that-throws-many-lines",
    expects: ["FUNCTION_LOAD_FAILED"],
    prelude: "throw Object.assign(new Error('x'), { stack: '    at x\\n'.repeat(8e5) });",
  },
  {
    name: "odd-load-that-throws-spaces",
    expects: ["FUNCTION_LOAD_FAILED"],
    prelude: "throw Object.assign(new Error('x'), { stack: ' '.repeat(8e6) });",
  },
  { name: "odd-load-that-throws-text", expects: ["FUNCTION_LOAD_FAILED"], prelude: "throw 'x'.repeat(8e6);" },
  {
    name: "odd-handler-that-gets-slower",
    expects: ["LIMIT_CPU", "harmless"],
    handler: "globalThis.n = (globalThis.n ?? 1) * 4; for (let i = 0; i < 1e4 * n; i++);",
  },
  {
    name: "odd-thenable-that-resolves-later",
    expects: ["harmless", "LIMIT_WALL"],
    code: plainHandler("return { then(resolve) { setTimeout(() => { resolve(1); resolve(2); }, 5); } };"),
  },
  {
    name: "odd-thenable-that-throws-twice",
    expects: ["harmless", ...TOLD],
    code: plainHandler("return { then(resolve) { resolve({ then() { throw 1; } }); throw 2; } };"),
  },
  {
    name: "odd-thenables-in-a-row",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    code: plainHandler("let n = 0; const next = () => ({ then(resolve) { n++; resolve(next()); } }); return next();"),
  },
  {
    name: "odd-promise-of-a-subclass",
    expects: ITSELF,
    code: plainHandler("class Odd extends Promise { then() { for (;;); } } return Odd.resolve(1);"),
  },
  { name: "odd-promise-that-is-frozen", expects: ["harmless"], code: plainHandler("return Object.freeze(Promise.resolve(1));") },
  {
    name: "odd-promise-with-a-constructor",
    expects: ["LIMIT_CPU"],
    code: plainHandler("return Object.defineProperty(Promise.resolve(1), 'constructor', { get() { for (;;); } });"),
  },
  {
    name: "odd-disposal-that-never-ends",
    expects: ["LIMIT_WALL"],
    handler: "await using one = { async [Symbol.asyncDispose]() { await new Promise(() => undefined); } };",
  },
  { name: "odd-disposal-of-many", expects: MUCH, handler: "using all = new DisposableStack(); for (;;) all.defer(() => { throw 1; });" },
  {
    name: "odd-disposal-that-throws-a-chain",
    expects: [...TOLD, "LIMIT_CPU"],
    handler: "using all = new DisposableStack(); for (let i = 0; i < 2e4; i++) all.defer(() => { throw i; });",
  },
  {
    name: "odd-disposal-of-all-at-once",
    expects: MUCH,
    handler: "await using all = new AsyncDisposableStack(); for (;;) all.defer(() => new Promise(() => undefined));",
  },
  { name: "odd-weak-references", expects: ["LIMIT_CPU", "LIMIT_MEMORY"], handler: "for (;;) new WeakRef({}).deref();" },
  {
    name: "odd-weak-maps",
    expects: MUCH,
    plan: { limits: { cpuMs: 2_000, wallMs: 5_000 } },
    handler: "const all = new WeakMap(); const keys = []; for (;;) { const key = {}; keys.push(key); all.set(key, keys); }",
  },
  {
    name: "odd-finalizers",
    expects: ["harmless"],
    handler: "if (typeof FinalizationRegistry !== 'undefined') throw new Error('there are finalizers');",
  },
  {
    name: "odd-waits-of-other-threads",
    expects: ["harmless"],
    handler: "if (typeof Atomics !== 'undefined' || typeof SharedArrayBuffer !== 'undefined') throw new Error('there is shared memory');",
  },
  odd(
    "error-of-a-long-chain",
    [...TOLD, "LIMIT_CPU", "LIMIT_MEMORY"],
    "let e; for (let i = 0; i < 1e5; i++) e = new Error('x', { cause: e }); throw e;",
    {
      plan: { limits: { cpuMs: 1_000, wallMs: 3_000 } },
    },
  ),
  odd("error-of-a-megabyte-name", [...TOLD, "LIMIT_MEMORY"], "throw Object.assign(new Error('x'), { name: 'x'.repeat(1e7) });"),
  odd(
    "error-of-megabytes",
    ["FUNCTION_THREW", "LIMIT_MEMORY", "LIMIT_CPU"],
    "throw { message: 'm'.repeat(1e7), stack: 's'.repeat(1e7), name: 'n'.repeat(1e7) };",
  ),
  odd("error-whose-message-throws", TOLD, "throw { get message() { throw { get message() { throw null; } }; } };"),
  odd("error-whose-name-throws", TOLD, "throw Object.defineProperty(new Error('x'), 'name', { get() { throw null; } });"),
  odd("error-whose-message-is-an-object", TOLD, "throw { message: { toString: () => ({}) , valueOf: () => ({}) } };"),
  odd(
    "error-with-a-hook-that-throws",
    ["FUNCTION_THREW", "LIMIT_CPU"],
    "Error.prepareStackTrace = () => { throw new Error('y'); }; throw new Error('x');",
  ),
  odd(
    "error-with-a-hook-of-megabytes",
    ["FUNCTION_THREW", "LIMIT_MEMORY", "LIMIT_CPU"],
    "Error.prepareStackTrace = () => 'x'.repeat(1e7); throw new Error('x');",
  ),
  odd(
    "error-with-a-hook-that-enters-again",
    ["FUNCTION_THREW", "LIMIT_CPU"],
    "Error.prepareStackTrace = () => new Error('y').stack; throw new Error('x');",
  ),
  odd(
    "error-that-captures-without-end",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "Error.stackTraceLimit = 1e6; for (;;) Error.captureStackTrace({});",
  ),
  odd("error-limit-that-loops", ITSELF, "Object.defineProperty(Error, 'stackTraceLimit', { get() { for (;;); } }); throw new Error('x');"),
  odd(
    "error-is-error",
    ITSELF,
    "for (let i = 0; i < 1e5; i++) Error.isError?.(new Proxy(new Error('x'), {})); throw new Proxy(new Error('x'), {});",
  ),
  odd(
    "expression-behind",
    ["LIMIT_CPU"],
    "/(?<=(a+)+)b$/.test('a'.repeat(60) + 'c'.repeat(60)); /(?<!(x+x+)+)y/.test('x'.repeat(60) + 'y'); for (;;);",
  ),
  odd("expression-that-looks-ahead", ["LIMIT_CPU"], "/^(?=(a|aa)+$)(?!.*c)/.test('a'.repeat(60) + 'b');"),
  odd(
    "expression-of-back-references",
    ["LIMIT_CPU"],
    "/^(a*)*\\1\\1\\1b/.test('a'.repeat(60)); /(.*)*\\1x/.test('a'.repeat(40)); for (;;);",
  ),
  odd(
    "expression-of-names",
    NATIVE,
    "new RegExp(Array.from({ length: 5e3 }, (_, i) => '(?<n' + i + '>a?)').join('') + 'b').exec('a'.repeat(5e3));",
  ),
  odd("expression-that-sticks", ["LIMIT_CPU"], "const e = /(?:)/gy; for (;;) { e.lastIndex = 2 ** 53; e.exec('x'); }"),
  odd(
    "expression-with-a-species",
    ["LIMIT_CPU"],
    "class Odd extends RegExp { static get [Symbol.species]() { for (;;); } } 'x'.split(new Odd('a'));",
  ),
  odd("text-of-a-locale", NATIVE, "const a = '\\u00df\\u0130'.repeat(5e6); a.toLocaleLowerCase('tr'); a.toLocaleUpperCase('de');"),
  odd(
    "text-normalized",
    NATIVE,
    "('a' + '\\u0301'.repeat(1e6)).normalize('NFC'); ('\\u1161'.repeat(1e6) + '\\u0300\\u0316'.repeat(1e6)).normalize('NFKD');",
  ),
  odd("text-of-marks", NATIVE, "const a = 'a' + '\\u0316\\u0300'.repeat(2e5); for (;;) a.normalize('NFD');"),
  odd("text-that-is-well-formed", MUCH, "const a = '\\ud800'.repeat(4e6); for (;;) a.toWellFormed();"),
  odd(
    "text-cut-into-words",
    NATIVE,
    "for (const one of new Intl.Segmenter('th', { granularity: 'word' }).segment('\\u0e01'.repeat(2e5))) one;",
  ),
  odd("list-for-a-locale", NATIVE, "Array.from({ length: 1e5 }, (_, i) => i).toLocaleString('ar');"),
  odd("list-with-a-locale-that-loops", ["LIMIT_CPU"], "[{ toLocaleString() { for (;;); } }].toLocaleString();"),
  odd("list-formatted", NATIVE, "new Intl.ListFormat('de').format(Array.from({ length: 2e5 }, () => 'x'));"),
  odd("number-formatted", NATIVE, "new Intl.NumberFormat('en', { minimumFractionDigits: 100 }).format(10n ** 100_000n);"),
  odd("number-of-a-locale", NATIVE, "(10n ** 200_000n).toLocaleString('hi');"),
  odd(
    "date-of-a-pattern",
    NATIVE,
    `const f = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'full', timeZone: 'Asia/Kathmandu',
      calendar: 'hebrew' }); for (;;) f.formatRangeToParts(0, 8.64e15);`,
  ),
  odd(
    "names-of-everything",
    NATIVE,
    `for (const kind of ['currency', 'unit', 'timeZone',
      'calendar']) for (const one of Intl.supportedValuesOf(kind)) new Intl.DisplayNames('en', { type: 'language' }).of('de'), one;`,
  ),
  odd(
    "durations",
    NATIVE,
    "if (Intl.DurationFormat) for (;;) new Intl.DurationFormat('en', { style: 'long' }).format({ years: 1e9, nanoseconds: 1e9 });",
  ),
  odd(
    "temporal-that-is-far",
    ITSELF,
    `if (typeof Temporal === 'object') for (;;) Temporal.PlainDate.from('+275760-09-13').until('-271821-04-20', {
      largestUnit: 'days' }).round({ smallestUnit: 'years', relativeTo: '2000-01-01' });`,
  ),
  odd(
    "temporal-of-long-text",
    ITSELF,
    `if (typeof Temporal === 'object') for (const text of ['2000-01-01' + '[a=b]'.repeat(1e5), '0'.repeat(1e6),
      '[' .repeat(1e6)]) try { Temporal.PlainDate.from(text); } catch {}`,
  ),
  odd("temporal-that-loops", ["LIMIT_CPU"], "Temporal.PlainDate.from({ get year() { for (;;); } });"),
  odd(
    "list-from-endless",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "await Array.fromAsync((function* () { for (;;) yield Promise.resolve(1); })());",
  ),
  odd("list-from-a-length", NATIVE, "await Array.fromAsync({ length: 2 ** 53 - 1 });"),
  odd("iterators-that-drop", NATIVE, "Iterator.from({ next: () => ({ done: false, value: 1 }) }).drop(2 ** 53 - 1).next();"),
  odd("iterators-that-take-all", ["LIMIT_CPU", "LIMIT_MEMORY"], "Iterator.from({ next: () => ({ done: false, value: 1 }) }).toArray();"),
  odd(
    "iterators-that-are-flat",
    NATIVE,
    "const self = { [Symbol.iterator]: () => [self].values() }; Iterator.from([self]).flatMap((x) => x).flatMap((x) => x).toArray(); for (;;);",
  ),
  odd("iterators-put-together", ITSELF, "let it = [1].values(); for (let i = 0; i < 2e4; i++) it = it.flatMap(() => [1]); it.toArray();"),
  odd("grouping", ["LIMIT_CPU", "LIMIT_MEMORY"], "Object.groupBy((function* () { for (let i = 0; ; i++) yield i; })(), (x) => x);"),
  odd("symbols-kept", ["LIMIT_CPU", "LIMIT_MEMORY"], "for (let i = 0; ; i++) Symbol.for('x'.repeat(1_000) + i);"),
  odd("primitive-that-loops", ["LIMIT_CPU"], "ctx.publish('flood/' + { [Symbol.toPrimitive]() { for (;;); } }, 1);"),
  odd("primitive-for-a-topic", TOLD, "ctx.publish({ [Symbol.toPrimitive]: () => 'flood/x' }, 1);", { mute: true }),
  odd(
    "list-of-a-subclass",
    ITSELF,
    `class Odd extends Array { static get [Symbol.species]() { return Proxy; } } ctx.state.set('x', Odd.from([1n, 2]));
      ctx.emit('x', Odd.from([1]));`,
  ),
  odd(
    "map-of-a-subclass",
    ["LIMIT_CPU", "LIMIT_MEMORY", ...TOLD],
    "class Odd extends Map { get size() { for (;;); } [Symbol.iterator]() { for (;;); } } ctx.state.set('x', new Odd());",
  ),
  odd(
    "bytes-of-a-subclass",
    ITSELF,
    `class Odd extends Uint8Array { get length() { return 2 ** 40; } get byteLength() { return 2 ** 40; } subarray() {
      return []; } } ctx.publish('flood/x', new Odd(8)); ctx.state.set('x', new Odd(8));`,
  ),
  odd(
    "date-of-a-subclass",
    ITSELF,
    "class Odd extends Date { getTime() { return { valueOf() { for (;;); } }; } } ctx.state.set('x', new Odd());",
  ),
  odd("date-that-is-none", ["harmless"], "ctx.state.set('x', new Date(NaN)); await ctx.state.get('x'); ctx.emit('x', { n: 1 });"),
  odd(
    "buffer-that-grows",
    ITSELF,
    `const one = new ArrayBuffer(8, { maxByteLength: 2 ** 30 }); ctx.publish('flood/x', one); ctx.state.set('x',
      new Uint8Array(one)); one.resize?.(2 ** 30);`,
  ),
  odd(
    "buffer-that-is-moved",
    ITSELF,
    "const kept = []; for (let one = new ArrayBuffer(1e6); ; one = one.transfer(2e6)) kept.push(one.byteLength);",
  ),
  odd(
    "buffer-moved-by-a-getter",
    ITSELF,
    "const view = new Uint8Array(64); ctx.emit('x', { a: view, get b() { view.buffer.transfer(); return 1; }, c: view });",
  ),
  odd(
    "views-of-halves",
    ITSELF,
    "ctx.publish('flood/x', new Float64Array(new ArrayBuffer(16), 8)); ctx.publish('flood/x', new DataView(new ArrayBuffer(16), 3, 5));",
  ),
  odd(
    "proxies-everywhere",
    ITSELF,
    `const self = new Proxy(class {}, { get: () => self, has: () => true, apply: () => self, construct: () => self,
      ownKeys: () => [] }); ctx.emit('x', self); ctx.log.info(self, self); ctx.state.set('x', self); throw self;`,
  ),
  {
    name: "odd-batch-that-mutates",
    expects: ["harmless", ...TOLD],
    batch: `events.splice(0, 1); events.push({ id: 'x' }); events.reverse();
      for (const event of events) Object.setPrototypeOf(event, null); return { failed: events };`,
  },
  { name: "odd-batch-that-grows", expects: ["LIMIT_CPU", "LIMIT_MEMORY"], batch: "for (const event of events) events.push(event);" },
  {
    name: "odd-batch-of-a-generator",
    expects: ["harmless", ...TOLD],
    code: "var __millrace = { default: { *handler() {}, *batch() { for (;;) yield 1; } } };",
  },
  { name: "odd-batch-that-fails-with-a-getter", expects: ["LIMIT_CPU"], batch: "return { get failed() { for (;;); } };" },
  { name: "odd-batch-that-fails-with-holes", expects: ["harmless", ...TOLD], batch: "return { failed: new Array(1e6) };" },
  {
    name: "odd-batch-that-fails-with-megabytes",
    expects: TOLD,
    batch: "return { failed: events.map(({ id }) => ({ id, error: new Error('x'.repeat(1e6)) })) };",
  },
  {
    name: "odd-batch-that-floods",
    expects: ["harmless", "LIMIT_OUTPUT"],
    batch:
      "for (const event of events) { ctx.of(event).publish('flood/x', 'x'.repeat(100_000)); ctx.of(event).emit('x', 'x'.repeat(20_000)); }",
  },
];
