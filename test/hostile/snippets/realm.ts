import { plainHandler, type Snippet } from "../snippet.ts";

/** A function may break its own realm as it likes. It may harm itself by that, in whatever way, and nobody else. */
const ITSELF = ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_WALL", "LIMIT_MEMORY", "LIMIT_OUTPUT", "PAYLOAD_INVALID"] as const;

/** Prototype pollution, replaced builtins, forged answers, and effects out of their time. */
export const REALM: readonly Snippet[] = [
  {
    name: "pollutes-object",
    expects: ITSELF,
    handler: "Object.prototype.polluted = 1; Object.prototype.toJSON = () => 'evil'; ctx.emit('x', { a: 1 });",
  },
  { name: "pollutes-object-then", expects: ITSELF, handler: "Object.prototype.then = function () { for (;;); };" },
  {
    name: "pollutes-object-then-getter",
    expects: ITSELF,
    handler: "Object.defineProperty(Object.prototype, 'then', { get() { for (;;); } });",
  },
  { name: "pollutes-array-push", expects: ITSELF, handler: "Array.prototype.push = () => { for (;;); };" },
  { name: "pollutes-array-iterator", expects: ITSELF, handler: "Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1; };" },
  { name: "pollutes-promise-then", expects: ITSELF, handler: "Promise.prototype.then = function () { return this; };" },
  {
    name: "pollutes-promise-then-that-loops",
    expects: ["LIMIT_CPU", "harmless"],
    handler: "Promise.prototype.then = () => { for (;;); };",
  },
  {
    name: "pollutes-json",
    expects: ITSELF,
    handler: "JSON.stringify = () => '\"evil\"'; JSON.parse = () => { throw null; }; ctx.emit('x', event.data);",
  },
  {
    name: "pollutes-map",
    expects: ITSELF,
    handler: "Map.prototype.get = () => 1; Map.prototype.has = () => true; await ctx.state.get('x');",
  },
  {
    name: "pollutes-map-to-ask-for-ever",
    expects: ["LIMIT_CALLS", "LIMIT_CPU"],
    handler: "Map.prototype.has = () => false; for (let i = 0; i < 5_000; i++) ctx.state.get('x');",
  },
  { name: "pollutes-string", expects: ITSELF, handler: "String.prototype.charCodeAt = () => 255; String.prototype.substring = () => 'x';" },
  { name: "pollutes-clock", expects: ITSELF, handler: "Date.now = () => { for (;;); };" },
  {
    name: "pollutes-event",
    expects: ITSELF,
    handler: "Object.defineProperty(Object.getPrototypeOf(event), 'topic', { get() { for (;;); } });",
  },
  {
    name: "replaces-globals",
    expects: ITSELF,
    handler: "for (const name of ['Date', 'Math', 'Map', 'Promise', 'JSON', 'String']) globalThis[name] = undefined;",
  },
  {
    name: "deletes-globals",
    expects: ITSELF,
    handler: "for (const name of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[name]; } catch {} }",
  },
  {
    name: "freezes-everything",
    expects: ITSELF,
    handler: "for (const one of [Object, Array, Promise, Map, String, Error]) Object.freeze(one.prototype); Object.freeze(globalThis);",
  },
  { name: "replaces-its-handler", expects: ["LIMIT_CPU", "harmless"], handler: "__millrace.default.handler = () => { for (;;); };" },
  {
    name: "forges-lengths",
    expects: ["FUNCTION_THREW", "harmless"],
    handler: "String.fromCharCode = () => '\\u00ff\\u00ff\\u00ff\\u00ff'; ctx.publish('flood/x', 1);",
    mute: true,
  },
  { name: "forges-an-empty-answer", expects: ["FUNCTION_THREW", "harmless"], handler: "String.fromCharCode = () => ''; ctx.emit('x', 1);" },
  {
    name: "forges-characters",
    expects: ["FUNCTION_THREW", "harmless"],
    handler: "String.fromCharCode = () => '\\u4e00'; ctx.emit('x', 1);",
    mute: true,
  },
  {
    name: "keeps-the-context",
    expects: ["harmless", "FUNCTION_THREW"],
    mute: true,
    handler: `globalThis.kept ??= ctx;
      if (kept !== ctx) { kept.emit('late', 1); kept.publish('flood/late', 1); kept.log.info('late'); kept.state.set('late', 1); }
      if ((await ctx.state.get('late')) !== undefined) throw new TypeError('a write of a message that is over');`,
  },
  {
    name: "acts-when-it-is-over",
    expects: ["harmless", "FUNCTION_THREW"],
    mute: true,
    code: plainHandler("(async () => { for (let i = 0; i < 100; i++) await 0; ctx.emit('late', 1); ctx.publish('flood/late', 1); })();"),
  },
  {
    name: "makes-its-own-context",
    expects: ["harmless", "FUNCTION_THREW"],
    mute: true,
    handler: "new ctx.constructor(event, {}, {}).publish('flood/x', 1);",
  },
  {
    name: "changes-its-event",
    expects: ["harmless", "FUNCTION_THREW"],
    handler: "'use strict'; event.key = 'other'; event.end = 0; event.flags = 255;",
  },
];
