import type { Snippet } from "../snippet.ts";

const LONG = { limits: { cpuMs: 2_000, wallMs: 5_000 } };
const TOLD = ["FUNCTION_THREW"] as const;
const TOO_MUCH = ["LIMIT_STATE", "LIMIT_OUTPUT", "LIMIT_CPU", "LIMIT_MEMORY"] as const;
/** Each of them ends a host, and after three the function waits in quarantine. */
const KILLS = { messagesMax: 2 } as const;

const migrating = (name: string, expects: Snippet["expects"], migrate: string, more: Partial<Snippet> = {}): Snippet => ({
  name: `migrate-${name}`,
  expects,
  migrate,
  handler: "",
  ...more,
});

/** Functions that migrate what an earlier version has stored. Whatever they do to it, a version that undoes it has to run and find it. */
export const MIGRATIONS: readonly Snippet[] = [
  migrating("that-loops", ["LIMIT_CPU"], "for (;;);"),
  migrating("that-waits", ["LIMIT_WALL"], "await new Promise(() => undefined);"),
  migrating("with-microtasks", ["LIMIT_CPU", "LIMIT_MEMORY"], "const again = () => Promise.resolve().then(again); await again();"),
  migrating("that-fills-memory", ["LIMIT_MEMORY"], "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));", {
    plan: LONG,
  }),
  migrating("that-kills-its-host", ["LIMIT_MEMORY", "HOST_CRASHED"], "'x'.repeat(2 ** 29 - 24).split('');", { ...KILLS, plan: LONG }),
  migrating("that-cannot-be-stopped", ["LIMIT_CPU", "LIMIT_MEMORY", "HOST_CRASHED"], "3n ** (2n ** 28n);", KILLS),
  migrating("with-recursion", TOLD, "const deeper = () => deeper() + 1; deeper();"),
  migrating("that-throws", TOLD, "throw new Error('not today');"),
  migrating("that-throws-null", TOLD, "throw null;"),
  migrating("that-throws-what-loops", ["LIMIT_CPU"], "throw { get message() { for (;;); } };"),
  migrating("that-throws-a-limit", TOLD, "throw Object.assign(new Error('x'), { code: 'STATE_NEWER', name: 'LimitError' });"),
  migrating("to-nothing", TOLD, "return;"),
  migrating("to-a-number", TOLD, "return 7;"),
  migrating("to-a-list", TOLD, "return [...entries];"),
  migrating("to-a-function", TOLD, "return () => entries;"),
  migrating("to-a-proxy-that-loops", ["LIMIT_CPU"], "return new Proxy({}, { ownKeys() { for (;;); } });"),
  migrating("to-a-revoked-proxy", TOLD, "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy;"),
  migrating("to-a-getter-that-loops", ["LIMIT_CPU"], "return { get kept() { for (;;); } };"),
  migrating("to-a-thenable-without-end", ["LIMIT_WALL"], "return { then() {} };"),
  migrating(
    "to-an-endless-map",
    TOO_MUCH,
    "class Endless extends Map { *[Symbol.iterator]() { for (let i = 0; ; i++) yield ['n' + i, i]; } } return new Endless();",
  ),
  migrating("to-a-circle", [...TOLD, "LIMIT_STATE"], "entries.set('kept', entries); return entries;"),
  migrating("to-functions", TOLD, "return { kept: () => 1, other: Symbol('x') };"),
  migrating(
    "to-odd-names",
    TOLD,
    "return new Map([[[Symbol('x'), {}, '', 'x'.repeat(1_025), '\\ud800'][Math.floor(Math.random() * 5)], 1]]);",
  ),
  migrating("to-the-mark-of-its-version", TOLD, "return entries.set('', 1_000_000);"),
  migrating("to-many-names", TOO_MUCH, "for (let i = 0; i < 70_000; i++) entries.set('n' + i, i); return entries;", { plan: LONG }),
  migrating("to-a-large-value", TOO_MUCH, "return entries.set('other', 'x'.repeat(1e6));"),
  migrating("to-large-values", TOO_MUCH, "for (let i = 0; i < 200; i++) entries.set('n' + i, 'x'.repeat(15_000)); return entries;", {
    plan: { limits: { ...LONG.limits, memoryBytes: 64 * 2 ** 20 } },
  }),
  migrating("that-sets-timers", ["LIMIT_CPU"], "setInterval(() => { for (;;); }, 1); await new Promise(() => undefined);"),
  migrating("that-fetches", TOLD, "await fetch('http://127.0.0.1:9/');", { plan: { http: ["http://127.0.0.1:9"] } }),
  migrating("that-logs-for-ever", ["LIMIT_CPU"], "for (;;) ctx.log.info('x'.repeat(1_000));"),
  migrating("that-publishes", TOLD, "ctx.publish('flood/x', 1); ctx.emit('x', 1);", { mute: true }),
  migrating("that-keeps-its-entries", ["harmless"], "globalThis.entries = entries; return entries;", {
    handler: "entries.set('kept', 2); entries.set('late', 1); if ((await ctx.state.get('late')) !== undefined) throw new Error('late');",
  }),
  migrating("with-a-broken-map", ["harmless", ...TOLD, "LIMIT_STATE", "LIMIT_WALL"], "return entries;", {
    prelude: "Map.prototype.has = () => true; Map.prototype[Symbol.iterator] = function* () {};",
  }),
  migrating("with-broken-json", ["harmless", ...TOLD, "LIMIT_WALL"], "return entries;", {
    prelude: "const parse = JSON.parse; JSON.parse = (text) => (text.includes('kept') ? { k0: 1, k1: [[1]], k2: 'x' } : parse(text));",
  }),
];
