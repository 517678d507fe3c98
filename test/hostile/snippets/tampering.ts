import type { Snippet } from "../snippet.ts";

/** Whatever becomes of it: it has harmed itself, and a person is told how, or nothing has happened. */
const ITSELF = [
  "harmless",
  "FUNCTION_THREW",
  "FUNCTION_LOAD_FAILED",
  "LIMIT_CPU",
  "LIMIT_WALL",
  "LIMIT_MEMORY",
  "LIMIT_OUTPUT",
  "LIMIT_STATE",
  "LIMIT_CALLS",
  "PAYLOAD_INVALID",
] as const;
/** Something of everything that the guest does. */
const EVERYTHING = `const kept = await ctx.state.get('x'); ctx.state.set('x', new Map([[1, kept]])); ctx.emit('x', { n: event.data });
  ctx.log.info('x', { a: 1 }); setTimeout(() => 1, 1); await ctx.state.list();`;

/** Before the guest uses any of it for the function. */
const tampered = (name: string, prelude: string, more: Partial<Snippet> = {}): Snippet => ({
  name: `tampers-with-${name}`,
  expects: ITSELF,
  prelude,
  handler: EVERYTHING,
  ...more,
});

const looping = (owner: string, names: readonly string[]): string =>
  `for (const name of ${JSON.stringify(names)}) Object.defineProperty(${owner}, name, { get() { for (;;); }, configurable: true });`;

/** Builtins and prototypes that were broken while the code was loaded. */
export const TAMPERING: readonly Snippet[] = [
  tampered(
    "list-setters",
    "for (let at = 0; at < 8; at++) Object.defineProperty(Array.prototype, at, { set() { for (;;); }, configurable: true });",
  ),
  tampered(
    "list-getters",
    "for (let at = 0; at < 8; at++) Object.defineProperty(Array.prototype, at, { get: () => 'x', set() {}, configurable: true });",
  ),
  tampered(
    "list-methods",
    "for (const name of ['map', 'filter', 'find', 'join', 'slice', 'some', 'push', 'shift']) Array.prototype[name] = () => { for (;;); };",
  ),
  tampered("list-species", "Object.defineProperty(Array, Symbol.species, { get() { for (;;); } });"),
  tampered("list-from", "Array.from = function* () { for (;;) yield 1; }; Array.isArray = () => true;"),
  tampered("maps-that-keep-nothing", "Map.prototype.set = function () { return this; }; Map.prototype.delete = () => true;"),
  tampered(
    "maps-without-end",
    "Map.prototype[Symbol.iterator] = Map.prototype.keys = Map.prototype.values = function* () { for (;;) yield ['k', 'v']; };",
  ),
  tampered("map-sizes", "Object.defineProperty(Map.prototype, 'size', { get: () => 2 ** 40 });"),
  tampered("sets-without-end", "Set.prototype[Symbol.iterator] = function* () { for (let i = 0; ; i++) yield 'k' + i; };"),
  tampered("promises-that-resolve", "Promise.resolve = () => ({ then() { for (;;); } });"),
  tampered("promises-with-resolvers", "Promise.withResolvers = () => ({ promise: { then() {} }, resolve() { for (;;); }, reject() {} });"),
  tampered("promise-species", "Object.defineProperty(Promise, Symbol.species, { get() { for (;;); } });"),
  tampered("promise-constructor", "globalThis.Promise = class extends Promise { constructor(run) { super(run); for (;;); } };"),
  tampered(
    "promise-then-once",
    "const then = Promise.prototype.then; Promise.prototype.then = function (a, b) { return then.call(this, (v) => { a?.(v); a?.(v); }, b); };",
  ),
  tampered("expressions", "RegExp.prototype.exec = RegExp.prototype.test = () => { for (;;); };"),
  tampered("expressions-that-agree", "RegExp.prototype.test = () => true; RegExp.prototype[Symbol.replace] = () => 'x'.repeat(1e6);"),
  tampered(
    "text-methods",
    "for (const name of ['charCodeAt', 'substring', 'slice', 'startsWith', 'split']) String.prototype[name] = () => { for (;;); };",
  ),
  tampered("text-splits", "String.prototype.split = () => new Array(2 ** 32 - 1);"),
  tampered("text-codes", "String.prototype.charCodeAt = () => NaN;"),
  tampered("characters-that-grow", "const long = 'x'.repeat(1e6); String.fromCharCode = () => long;"),
  tampered("characters-that-are-objects", "String.fromCharCode = () => ({ toString() { for (;;); } });"),
  tampered("characters-that-are-symbols", "String.fromCharCode = () => Symbol('x');"),
  tampered(
    "escapes-that-are-objects",
    "RegExp.prototype.test = () => false; globalThis.unescape = () => ({ length: 2 ** 32 - 1, toString: () => 'x' });",
  ),
  tampered("json-that-is-a-number", "JSON.stringify = () => 5;"),
  tampered("json-that-is-an-object", "JSON.stringify = () => ({ length: NaN });"),
  tampered("json-that-is-a-function", "JSON.stringify = () => () => 1;"),
  tampered("json-that-is-long", "JSON.stringify = () => '\"' + 'x'.repeat(5e6) + '\"';"),
  tampered("json-that-nests", "JSON.stringify = () => '['.repeat(1e5);"),
  tampered("json-of-options", "const parse = JSON.parse; JSON.parse = (text) => new Proxy(parse(text), { get() { for (;;); } });"),
  tampered(
    "json-of-its-name",
    "const parse = JSON.parse; JSON.parse = (text) => { const v = parse(text); if (v?.outputBytes) v.name = 'neighbour'; return v; };",
    {
      handler: "ctx.publish('flood/x', 1);",
      mute: true,
    },
  ),
  tampered(
    "json-of-its-triggers",
    "const parse = JSON.parse; JSON.parse = (text) => { const v = parse(text); if (v?.outputBytes) v.triggers = null; return v; };",
  ),
  tampered(
    "json-of-its-order",
    `const parse = JSON.parse; JSON.parse = (text) => { const v = parse(text); if (v?.outputBytes) Object.assign(v, {
      strict: false, batch: true, stateVersion: 1e9, shared: true }); return v; };`,
  ),
  tampered("clocks", "Date.now = () => -1e300;"),
  tampered("clocks-that-are-objects", "Date.now = () => ({ valueOf() { for (;;); } });"),
  tampered("numbers", "Math.max = Math.min = Math.floor = () => NaN; Number.isInteger = () => true;"),
  tampered("numbers-without-end", "Math.min = () => Infinity; Math.ceil = () => 2 ** 53;"),
  tampered("properties", "Object.defineProperty = Reflect.get = Object.keys = () => { for (;;); };"),
  tampered("descriptors", "Object.prototype.get = Object.prototype.set = Object.prototype.value = () => { for (;;); };"),
  tampered(
    "properties-of-everything",
    looping("Object.prototype", ["key", "keys", "events", "event", "state", "shared", "handler", "batch", "init", "migrate", "isInit"]),
  ),
  tampered(
    "properties-of-answers",
    looping("Object.prototype", ["resolve", "reject", "promise", "values", "bytes", "error", "head", "body", "done", "next"]),
  ),
  tampered("properties-of-errors", looping("Object.prototype", ["code", "cause", "stack", "message", "name"]), { handler: "throw {};" }),
  tampered(
    "properties-of-limits",
    looping("Object.prototype", ["timeout", "result", "reference", "copy", "promise", "arguments", "release"]),
  ),
  tampered("then-of-everything", "Object.prototype.then = function (resolve) { resolve(1); resolve(2); };"),
  tampered("then-of-text", "Object.defineProperty(String.prototype, 'then', { get() { for (;;); } });"),
  tampered("errors", "globalThis.Error = globalThis.TypeError = function () { for (;;); };"),
  tampered("error-traces", "Error.captureStackTrace = Error.prepareStackTrace = () => { for (;;); };"),
  tampered("error-traces-of-megabytes", "Error.prepareStackTrace = () => 'x'.repeat(8e6);", { handler: "throw new Error('x');" }),
  tampered(
    "instances",
    "for (const one of [Error, Map, Set, Date, ArrayBuffer]) Object.defineProperty(one, Symbol.hasInstance, { value: () => true });",
  ),
  tampered("views", "ArrayBuffer.isView = () => true;", {
    handler: "ctx.publish('flood/x', { byteLength: 2 ** 40 }); ctx.state.set('x', {});",
  }),
  tampered("bytes", "globalThis.Uint8Array = class { length = 2 ** 53; subarray() { return []; } };", {
    handler: "ctx.publish('flood/x', new ArrayBuffer(8));",
  }),
  tampered(
    "global-functions",
    "for (const name of ['escape', 'unescape', 'encodeURIComponent', 'decodeURIComponent']) globalThis[name] = () => { for (;;); };",
    {
      handler: "ctx.publish('flood/\\u00e9', '\\u00e9');",
    },
  ),
  tampered(
    "symbols",
    `Object.defineProperty(Object.prototype, Symbol.toPrimitive, { get() { for (;;); } });
      Object.defineProperty(Object.prototype, Symbol.iterator, { get() { for (;;); } });`,
  ),
  tampered(
    "prototypes",
    "Object.setPrototypeOf(Array.prototype, new Proxy(Object.create(null), { get() { for (;;); }, has: () => true }));",
  ),
  tampered(
    "functions",
    "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = Reflect.apply = () => { for (;;); };",
  ),
  tampered("generators", "Object.getPrototypeOf(function* () {}).prototype.next = () => ({ done: false, value: 1 });"),
  tampered(
    "iterators",
    `Object.getPrototypeOf(Object.getPrototypeOf([].values())).next = () => { for (;;); };
      Object.getPrototypeOf([].values()).next = () => ({ done: false, value: ['k', 'v'] });`,
  ),
];
