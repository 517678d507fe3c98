import type { Snippet } from "../snippet.ts";

/** A builtin that may take V8 long or much memory at once. On a fast machine, or in another version of V8, it may come to nothing. */
const NATIVE = ["LIMIT_CPU", "LIMIT_WALL", "LIMIT_MEMORY", "HOST_CRASHED", "FUNCTION_THREW", "harmless"] as const;

const native = (name: string, handler: string): Snippet => ({ name: `native-${name}`, expects: NATIVE, handler });

/** Builtins with a large or odd argument: they cannot be interrupted, or their memory is not on the heap. */
export const NATIVES: readonly Snippet[] = [
  native("locale-compare", "const a = '\\u0130'.repeat(1e6); for (;;) a.localeCompare(a + 'b', 'tr', { sensitivity: 'base' });"),
  native("collator", "const c = new Intl.Collator('zh-u-co-pinyin'); const a = '\\u6f22'.repeat(2e6); for (;;) c.compare(a, a + 'x');"),
  native("upper-case-of-a-locale", "let a = '\\u0149'.repeat(2 ** 22); for (;;) a.toLocaleUpperCase('lt');"),
  native("normalize-often", "const a = 'e\\u0301'.repeat(1e6); for (;;) a.normalize('NFD').normalize('NFKC');"),
  native(
    "many-locales",
    "for (let i = 0; ; i++) new Intl.NumberFormat('en-u-nu-' + ['latn', 'arab', 'thai'][i % 3], { style: 'unit', unit: 'liter' }).format(i);",
  ),
  native("list-of-locales", "Intl.getCanonicalLocales(Array.from({ length: 1e6 }, (_, i) => 'en-x-a' + i));"),
  native("date-parse", "const text = 'Mon ' + '('.repeat(5e6) + ')'.repeat(5e6); for (;;) Date.parse(text);"),
  native(
    "date-of-a-calendar",
    "for (let i = 0; ; i += 1e9) new Date(8.64e15 - i).toLocaleDateString('ar-u-ca-islamic-umalqura', { dateStyle: 'full' });",
  ),
  native("format-to-parts", "const f = new Intl.NumberFormat('hi'); for (;;) f.formatToParts(10n ** 5000n);"),
  native("replace-all", "'x'.repeat(2 ** 22).replaceAll('x', 'y'.repeat(2 ** 7));"),
  native("replace-with-itself", "'x'.repeat(2 ** 16).replaceAll('x', \"$`$'\");"),
  native("split-and-join", "const a = 'x,'.repeat(1e6); for (;;) a.split(',').join('y,');"),
  native("url-escapes", "const a = '\\u00e9'.repeat(1e7); for (;;) decodeURIComponent(encodeURIComponent(a));"),
  native("regex-of-sets", "new RegExp('[' + '[\\\\p{L}--[a-z]]'.repeat(2e3) + ']', 'v').test('x');"),
  native("regex-of-counts", "/((a{1,1000}){1,1000}){1,1000}/.test('a'.repeat(1e5));"),
  native("regex-behind", "/(?<=(?<a>x+x+)+)y/.test('x'.repeat(5e4) + 'z');"),
  native(
    "regex-ignores-case",
    "new RegExp('[' + Array.from({ length: 2e4 }, (_, i) => String.fromCharCode(0x100 + i)).join('') + ']{1,500}', 'iu').test('x');",
  ),
  native("regex-matches", "[...'x'.repeat(1e7).matchAll(/(?:)/g)];"),
  native("regex-deep", "new RegExp('('.repeat(2e4) + ')'.repeat(2e4));"),
  native("bigint-bits", "BigInt.asUintN(2 ** 53 - 1, -1n);"),
  native("bigint-shift", "1n << 2n ** 30n;"),
  native("bytes-as-text", "const all = new Uint8Array(1e7); for (;;) all.toHex?.() ?? all.join();"),
  native("text-as-bytes", "const text = 'AAAA'.repeat(2e6); for (;;) Uint8Array.fromBase64(text);"),
  native("exact-sum", "const all = Array.from({ length: 1e5 }, () => 1e308); for (;;) Math.sumPrecise(all);"),
  native("reverse-nothing", "Array.prototype.reverse.call({ length: 2 ** 53 - 1 });"),
  native("copy-within", "Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 1, 0);"),
  native("last-index", "Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1);"),
  native("join-nothing", "new Array(2 ** 32 - 1).join();"),
  native("splice-sparse", "const all = []; all[2 ** 32 - 2] = 1; for (;;) { all.splice(0, 1); all.unshift(1); }"),
  native(
    "sort-odd",
    "const all = Array.from({ length: 1e5 }, (_, i) => i); all.sort((a, b) => { all.length = 0; return a - b; }); for (;;) all.toSorted();",
  ),
  native(
    "set-of-all",
    "new Set([1]).union({ size: Infinity, has: () => true, keys: () => ({ next: () => ({ done: false, value: {} }) }) });",
  ),
  native("iterators-of-iterators", "let it = [1, 2].values(); for (let i = 0; i < 1e5; i++) it = it.map((x) => x); it.next();"),
  native("bound-functions", "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); f();"),
  native("proxies-of-proxies", "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x; 'x' in p; Object.keys(p);"),
  native("prototype-chain", "let p = {}; for (let i = 0; i < 1e5; i++) p = Object.create(p); for (;;) p.missing;"),
  native("flat-without-end", "const all = []; all.push(all, all); all.flat(Infinity);"),
  native("many-properties", "const all = {}; for (let i = 0; i < 1e6; i++) all['p' + i] = i; for (;;) ({ ...all });"),
  native("arguments", "Function.prototype.apply.call(() => 1, null, { length: 2 ** 32 - 1 });"),
  native("function-of-much-text", "Function('return ' + '+'.repeat(0) + '1+'.repeat(5e5) + '1')();"),
  native("eval-deep", "eval('['.repeat(2e5) + ']'.repeat(2e5));"),
  native("class-of-many-fields", "eval('class A {' + Array.from({ length: 1e5 }, (_, i) => `#f${i} = 1;`).join('') + '}; new A()');"),
  native("template-text", "String.raw({ raw: { length: 2 ** 53 - 1 } });"),
  native("typed-array-of-iterable", "Uint8Array.from({ length: 2 ** 33 });"),
  native(
    "detached-buffer",
    "const one = new ArrayBuffer(1e6); const view = new Uint8Array(one); one.transfer(2 ** 31); view.fill(1); view[0];",
  ),
  native("transfers", "let one = new ArrayBuffer(1e6); for (;;) one = one.transfer(one.byteLength + 1);"),
  native("transfer-to-fixed", "const kept = []; for (;;) kept.push(new ArrayBuffer(1e6).transferToFixedLength(2e6));"),
  native(
    "calendar-sums",
    `if (typeof Temporal === 'object') for (let i = 1; ; i++) Temporal.PlainDate.from('2000-01-01[u-ca=chinese]').add({
      months: i }).until('-200000-01-01', { largestUnit: 'months' });`,
  ),
  native(
    "time-zones",
    `if (typeof Temporal === 'object') for (let t = Temporal.Instant.from('1800-01-01T00:00Z').toZonedDateTimeISO('Africa/Casablanca');
      ; ) t = t.getTimeZoneTransition('next') ?? t;`,
  ),
  native(
    "duration-of-all",
    `if (typeof Temporal === 'object') Temporal.Duration.from({ years: 2 ** 31, nanoseconds: 2 ** 52 }).total({
      unit: 'nanoseconds', relativeTo: '2000-01-01' });`,
  ),
];
