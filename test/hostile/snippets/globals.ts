import type { Snippet } from "../snippet.ts";

const TOLD = ["FUNCTION_THREW"] as const;
/** What has too much to do, or too little memory for it. */
const MUCH = ["LIMIT_CPU", "LIMIT_MEMORY", "FUNCTION_THREW"] as const;
const ITSELF = ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY"] as const;

/** With the globals that `millrace build` puts into a bundle, and with `std`. */
const web = (name: string, expects: Snippet["expects"], handler: string, more: Partial<Snippet> = {}): Snippet => ({
  name: `web-${name}`,
  expects,
  built: true,
  handler,
  ...more,
});

/** The globals of the web and `millrace/std`, with arguments that nobody in their right mind would give them. */
export const GLOBALS: readonly Snippet[] = [
  web("url-that-loops", ["LIMIT_CPU"], "new URL({ toString() { for (;;); } });"),
  web("url-of-many-dots", MUCH, "for (;;) new URL('http://h/' + 'a/../'.repeat(2e5));"),
  web("url-of-a-megabyte", MUCH, "for (;;) new URL('http://h/?' + '\\u00e9'.repeat(2 ** 20)).searchParams.get('x');"),
  web("url-of-a-long-host", MUCH, "new URL('http://' + '\\u00fc'.repeat(2e5) + '/');"),
  web(
    "url-of-a-host-of-all",
    MUCH,
    "for (;;) new URL('http://' + Array.from({ length: 8e3 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join('') + '/');",
  ),
  web("url-of-a-host-of-labels", MUCH, "for (;;) new URL('http://' + 'xn--a.'.repeat(1e5) + '/');"),
  web("url-of-many-users", MUCH, "for (;;) new URL('http://' + '@:'.repeat(5e5) + 'h/');"),
  web("url-of-brackets", ITSELF, "new URL('http://' + '['.repeat(1e6) + ':'.repeat(1e6) + ']/');"),
  web(
    "url-of-numbers",
    ITSELF,
    "for (const host of ['0x' + 'f'.repeat(1e6), '1.'.repeat(1e6), '9'.repeat(1e6)]) try { new URL('http://' + host); } catch {}",
  ),
  web("url-parameters-without-end", ["LIMIT_CPU", "LIMIT_MEMORY"], "new URLSearchParams((function* () { for (;;) yield ['a', 'b']; })());"),
  web("url-parameters-that-grow", ["LIMIT_CPU", "LIMIT_MEMORY"], "const all = new URLSearchParams(); for (;;) all.append('a', 'b');"),
  web("url-parameters-of-a-url", MUCH, "const url = new URL('http://h/'); for (;;) url.searchParams.append('a'.repeat(1e4), '\\u00e9');"),
  web("decoder-of-broken-bytes", MUCH, "const all = new Uint8Array(4e6).fill(0xf4); for (;;) new TextDecoder().decode(all);"),
  web("decoder-of-a-detached-buffer", ITSELF, "const one = new ArrayBuffer(8); one.transfer(); new TextDecoder().decode(one);"),
  web("decoder-of-a-proxy", ITSELF, "new TextDecoder().decode(new Proxy(new Uint8Array(8), { get() { for (;;); } }));"),
  web(
    "decoder-of-a-lying-iterator",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "Uint8Array.prototype.__proto__[Symbol.iterator] = function* () { for (;;) yield 65; }; new TextDecoder().decode(new Uint8Array(1));",
  ),
  web(
    "decoder-that-goes-on",
    ITSELF,
    "const d = new TextDecoder('utf-16le'); for (let i = 0; i < 1e4; i++) d.decode(new Uint8Array([0xd8]), { stream: true });",
  ),
  web("encoder-of-much", MUCH, "for (;;) new TextEncoder().encode('\\u{1f600}'.repeat(5e5));"),
  web(
    "encoder-into-what-grows",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "new TextEncoder().encodeInto('x'.repeat(1e6), { get length() { for (;;); } });",
  ),
  web(
    "clone-of-a-circle",
    ITSELF,
    "const circle = []; circle.push(circle, circle); const copy = structuredClone(circle); if (copy[0] !== copy) throw 1;",
  ),
  web("clone-of-depth", ITSELF, "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; structuredClone(deep);"),
  web("clone-of-a-getter", ["LIMIT_CPU"], "structuredClone({ get a() { for (;;); } });"),
  web(
    "clone-of-endless-keys",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    `const p = new Proxy({}, { ownKeys: () => ['a'], getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true,
      configurable: true }), get: () => p2() }); const p2 = () => ({ p: new Proxy({}, { ownKeys() { for (;;); } }) });
      structuredClone(p);`,
  ),
  web(
    "clone-of-a-map-that-grows",
    ["LIMIT_CPU", "LIMIT_MEMORY", "harmless"],
    "const map = new Map([[1, { get a() { map.set(map.size + 1, { get a() { for (;;); } }); return 1; } }]]); structuredClone(map);",
  ),
  web(
    "clone-of-a-masked-view",
    ITSELF,
    "const view = new Uint8Array(8); Object.defineProperty(view, Symbol.toStringTag, { value: 'Function' }); structuredClone(view);",
  ),
  web("clone-of-a-sparse-list", MUCH, "const all = []; all[2 ** 32 - 2] = 1; structuredClone(all); for (;;);"),
  web(
    "clone-that-transfers-twice",
    ITSELF,
    "const one = new ArrayBuffer(8); structuredClone({ one, two: one }, { transfer: [one, one] }); structuredClone(one);",
  ),
  web(
    "clone-that-transfers-without-end",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "structuredClone(1, { transfer: (function* () { for (;;) yield {}; })() });",
  ),
  web("clone-of-an-error", ["LIMIT_CPU"], "structuredClone(Object.defineProperty(new Error('x'), 'name', { get() { for (;;); } }));"),
  web("clone-of-a-chain-of-causes", ITSELF, "let e; for (let i = 0; i < 1e5; i++) e = new Error('x', { cause: e }); structuredClone(e);", {
    plan: { limits: { cpuMs: 1_000, wallMs: 3_000 } },
  }),
  web(
    "signal-of-any-without-end",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "AbortSignal.any((function* () { for (;;) yield new AbortController().signal; })());",
  ),
  web(
    "signal-with-many-listeners",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "const { signal } = new AbortController(); for (;;) signal.addEventListener('abort', () => 1);",
  ),
  web(
    "signal-with-a-listener-that-loops",
    ["LIMIT_CPU"],
    "const c = new AbortController(); c.signal.onabort = () => { for (;;); }; c.abort();",
  ),
  web(
    "signal-that-listens-to-itself",
    ITSELF,
    "const c = new AbortController(); c.signal.addEventListener('abort', (e) => c.signal.dispatchEvent(e)); c.abort();",
  ),
  web("signal-of-many-timeouts", ["LIMIT_TIMERS"], "for (let i = 0; i < 101; i++) AbortSignal.timeout(1);"),
  web(
    "signal-for-a-fetch-that-is-not-one",
    ITSELF,
    "await fetch('http://127.0.0.1:9/', { signal: { aborted: false, addEventListener() { for (;;); } } });",
    {
      plan: { http: ["http://127.0.0.1:9"] },
    },
  ),
  web(
    "digest-of-much",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "const all = new Uint8Array(4e6); for (;;) await crypto.subtle.digest('SHA-512', all);",
  ),
  web("digest-of-a-name-that-loops", ["LIMIT_CPU"], "await crypto.subtle.digest({ get name() { for (;;); } }, new Uint8Array(1));"),
  web("digest-of-a-proxy", ITSELF, "await crypto.subtle.digest('SHA-1', new Proxy(new Uint8Array(1), { get: () => 2 ** 40 }));"),
  web("random-of-a-proxy", ITSELF, "crypto.getRandomValues(new Proxy(new Uint8Array(1), { get: () => -1 }));"),
  web("random-of-a-view-without-a-buffer", ITSELF, "const view = new Uint8Array(8); view.buffer.transfer(); crypto.getRandomValues(view);"),
  web("base64-of-much", MUCH, "for (;;) atob(btoa('\\u00ff'.repeat(1e6)));"),
  web("base64-that-loops", ["LIMIT_CPU"], "btoa({ toString() { for (;;); } });"),
  web("base64-of-spaces", MUCH, "for (;;) atob(' '.repeat(4e6) + 'QQ==');"),
  web("headers-without-end", ["LIMIT_CPU", "LIMIT_MEMORY"], "new Headers((function* () { for (;;) yield ['a', 'b']; })());"),
  web("headers-of-many", ["LIMIT_CPU", "LIMIT_MEMORY"], "const h = new Headers(); for (let i = 0; ; i++) h.set('x-' + i, 'y');"),
  web("headers-of-a-pair-without-end", ["LIMIT_CPU", "LIMIT_MEMORY"], "new Headers([(function* () { for (;;) yield 'a'; })()]);"),
  web("response-of-much", ["LIMIT_CPU", "LIMIT_MEMORY"], "for (;;) await new Response('x'.repeat(1e6)).bytes();"),
  web("response-of-json-that-loops", ["LIMIT_CPU"], "Response.json({ toJSON() { for (;;); } });"),
  web("response-of-a-body-that-is-none", ITSELF, "new Response({ append() {}, getAll() {}, sort() {}, toString() { for (;;); } });"),
  web(
    "event-of-many-types",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "const all = new EventTarget(); for (let i = 0; ; i++) all.addEventListener('x' + i, () => 1);",
  ),
  web(
    "exception-of-a-name-that-loops",
    ["LIMIT_CPU"],
    "new DOMException('x', { toString() { for (;;); } }).name + ''; `${new DOMException('x', { toString() { for (;;); } })}`;",
  ),
  web(
    "std-sketch-of-lies",
    ITSELF,
    "std.percentile({ accuracy: 0.01, zeros: 1, positive: { map: () => { for (;;); } }, negative: [] }, 50);",
  ),
  web("std-sketch-of-many-buckets", MUCH, "let s; for (let i = 1; ; i++) s = std.addToSketch(s, 1.5 ** (i % 1_000), 0.001);"),
  web(
    "std-windows-of-lies",
    ITSELF,
    `std.sliding({ open: [{ start: -1e300, end: 1e300, summary: {} }], newest: 0, closed: -1e300 }, { time: 1e15,
      value: 1 }, { size: 1_000, slide: 1 });`,
  ),
  web(
    "std-windows-of-many",
    MUCH,
    "let state; for (let i = 0; ; i++) ({ state } = std.sliding(state, { time: i, value: i }, { size: 1_000, slide: 1 }));",
  ),
  web(
    "std-dedupe-of-many",
    ["LIMIT_CPU", "LIMIT_MEMORY"],
    "let state; for (let i = 0; ; i++) ({ state } = std.dedupe(state, { id: 'x' + i, time: 1 }, { window: 9, max: 1e9 }));",
  ),
  web("std-units-that-loop", ITSELF, "std.convert(1, { toString() { for (;;); } }, 'm');"),
  web("std-units-of-objects", TOLD, "std.convert(1, '__proto__', 'constructor');"),
];
