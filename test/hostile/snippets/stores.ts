import type { Snippet } from "../snippet.ts";

const KEPT = ["LIMIT_STATE", "LIMIT_OUTPUT", "LIMIT_CPU", "LIMIT_MEMORY", "FUNCTION_THREW"] as const;

/** Odd values to be kept, published and emitted. */
export const STORES: readonly Snippet[] = [
  {
    name: "stores-names-of-objects",
    expects: ["harmless"],
    handler: `for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '\\0', 'a/b', '..']) { ctx.state.set(name, {
      __proto__: 1, name }); if ((await ctx.state.get(name)).name !== name) throw new Error(name); }
      if ((await ctx.state.list()).size !== 7) throw new Error('list');`,
  },
  {
    name: "stores-proxy-of-a-map",
    expects: ["FUNCTION_THREW", "harmless"],
    handler: "ctx.state.set('x', new Proxy(new Map([[1, 2]]), {}));",
  },
  {
    name: "stores-endless-map",
    expects: [...KEPT],
    handler: `class Endless extends Map { *[Symbol.iterator]() { for (let i = 0; ; i++) yield [i, i]; } entries() {
      return this[Symbol.iterator](); } } ctx.state.set('x', new Endless([[1, 1]]));`,
  },
  { name: "stores-map-in-a-circle", expects: KEPT, handler: "const all = new Map(); all.set(all, all); ctx.state.set('x', all);" },
  { name: "stores-sparse-list", expects: KEPT, handler: "const all = [1n]; all[2 ** 32 - 2] = 1n; ctx.state.set('x', all);" },
  { name: "stores-large-bytes", expects: KEPT, handler: "ctx.state.set('x', new Uint8Array(4e6));" },
  {
    name: "stores-detached-bytes",
    expects: ["harmless", "FUNCTION_THREW"],
    handler: "const view = new Uint8Array(8); view.buffer.transfer(); ctx.state.set('x', view); ctx.emit('x', { n: 1 });",
  },
  {
    name: "stores-bytes-that-shrink",
    expects: ["harmless", "FUNCTION_THREW"],
    handler:
      "const view = new Uint16Array(8); const value = [view, { get a() { view.buffer.transfer(0); return 1n; } }, view]; ctx.state.set('x', value);",
  },
  { name: "stores-getter-that-loops", expects: ["LIMIT_CPU"], handler: "ctx.state.set('x', { a: 1n, get b() { for (;;); } });" },
  { name: "stores-json-that-loops", expects: ["LIMIT_CPU"], handler: "ctx.state.set('x', [1n, { toJSON() { for (;;); } }]);" },
  { name: "stores-json-of-json", expects: KEPT, handler: "const self = { toJSON: () => [self, self] }; ctx.state.set('x', [1n, self]);" },
  { name: "stores-many-bigints", expects: KEPT, handler: "ctx.state.set('x', Array.from({ length: 50 }, () => 7n ** 20_000n));" },
  {
    name: "stores-forged-cbor",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_STATE"],
    handler: `const from = String.fromCharCode; String.fromCharCode = (...all) => from(...all.map((c) => (c < 28 ? 155 : c)));
      ctx.state.set('x', [1n, new Map([[1, 2]])]); String.fromCharCode = from; await ctx.state.get('x');`,
  },
  {
    name: "stores-forged-lengths",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_STATE"],
    handler: `const set = Map.prototype.set; Map.prototype.set = function (name, value) {
      return set.call(this, name, name === 'x' ? '\\u00d9\\u00d9\\u00f7\\u009b\\u00ff\\u00ff\\u00ff\\u00ff\\u00ff\\u00ff\\u00ff\\u00ff' : value);
      }; if (event.seq % 2) ctx.state.set('x', 1); else await ctx.state.get('x'); await ctx.state.list();`,
  },
  {
    name: "stores-ttl-that-loops",
    expects: ["LIMIT_CPU", "FUNCTION_THREW"],
    handler: "ctx.state.set('x', 1, { get ttl() { for (;;); } });",
  },
  {
    name: "stores-odd-ttl",
    expects: ["FUNCTION_THREW"],
    handler: "ctx.state.set('x', 1, { ttl: [NaN, -1, Infinity, '1e9d', {}, 10n][event.seq % 6] });",
  },
  {
    name: "stores-list-of-a-prefix-that-loops",
    expects: ["LIMIT_CPU", "FUNCTION_THREW"],
    handler: "await ctx.state.list({ toString() { for (;;); } });",
  },
  {
    name: "stores-and-deletes-for-ever",
    expects: ["LIMIT_CPU", "LIMIT_OUTPUT"],
    handler: "for (let i = 0; ; i++) { ctx.state.set('x', i); ctx.state.delete('x'); }",
  },
  { name: "publishes-options-that-loop", expects: ["LIMIT_CPU"], handler: "ctx.publish('flood/x', 1, { get qos() { for (;;); } });" },
  {
    name: "publishes-odd-options",
    expects: ["FUNCTION_THREW"],
    handler: "ctx.publish('flood/x', 1, { qos: [3, -1, '1', {}, 1n][event.seq % 5] });",
    mute: true,
  },
  {
    name: "publishes-bytes-that-are-gone",
    expects: ["harmless", "FUNCTION_THREW"],
    handler: "const view = new Uint8Array(8); view.buffer.transfer(); ctx.publish('flood/x', view);",
  },
  {
    name: "publishes-a-long-topic",
    expects: ["FUNCTION_THREW"],
    mute: true,
    handler: "ctx.publish(event.seq % 2 ? 'flood/' + 'x'.repeat(7e4) : 'flood' + '/x'.repeat(200), 1);",
  },
  {
    name: "publishes-retained-for-ever",
    expects: ["LIMIT_OUTPUT", "LIMIT_CPU"],
    handler: "for (let i = 0; ; i++) ctx.publish('flood/' + event.seq + '/' + i, 'x', { retain: true, qos: 2 });",
  },
  {
    name: "emits-with-a-subject-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "ctx.emit('x', 1, { subject: { toJSON() { for (;;); } } });",
  },
  {
    name: "emits-odd-subjects",
    expects: ["harmless"],
    handler: "ctx.emit('x', 1, { subject: ['\\0', '\\ud800', 'x'.repeat(1e5), '', {}, null][event.seq % 6] });",
  },
];
