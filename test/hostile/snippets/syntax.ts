import type { Snippet } from "../snippet.ts";

const ITSELF = ["harmless", "FUNCTION_THREW", "FUNCTION_LOAD_FAILED", "LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_WALL", "HOST_CRASHED"] as const;
const LOAD = ["FUNCTION_LOAD_FAILED"] as const;
const OK = "var __millrace = { default: { handler() {} } };";

/** Source text for the parser and the compiler. */
const script = (name: string, code: string, expects: Snippet["expects"] = ITSELF): Snippet => ({
  name: `source-${name}`,
  expects,
  code: `${OK}\n${code}`,
});
/** The same, compiled when a message comes. */
const evaluated = (name: string, handler: string, expects: Snippet["expects"] = ITSELF): Snippet => ({
  name: `source-${name}`,
  expects,
  handler,
});

const numbered = (count: number, text: (i: number) => string, separator = ","): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(separator);

const THROWS = "var __millrace = { default: { handler() { throw new Error('x'); } } };";
/** A map of as many segments as one may have, which says that all of it is line after line of one file. */
const map = (mappings: string, sources: readonly string[] = ["index.ts"]): string =>
  JSON.stringify({ version: 3, sources, names: [], mappings });

/** Source text that parsers, compilers and those who read stacks do not like. */
export const SYNTAX: readonly Snippet[] = [
  script("of-deep-lists", `var x = ${"[".repeat(100_000)}${"]".repeat(100_000)};`),
  script("of-deep-objects", `var x = ${"{a:".repeat(50_000)}1${"}".repeat(50_000)};`),
  script("of-deep-functions", `${"(function(){".repeat(20_000)}${"})".repeat(20_000)};`),
  script("of-deep-arrows", `var x = ${"a=>".repeat(100_000)}1;`),
  script("of-deep-classes", `${"class A{static{".repeat(20_000)}${"}}".repeat(20_000)};`),
  script("of-deep-templates", `var x = ${"`${".repeat(30_000)}1${"}`".repeat(30_000)};`),
  script("of-deep-blocks", `${"{".repeat(100_000)}${"}".repeat(100_000)}`),
  script("of-deep-conditions", `${"if(1)".repeat(100_000)};`),
  script("of-deep-choices", `var x = ${"1?".repeat(50_000)}1${":1".repeat(50_000)};`),
  script("of-deep-operators", `var x = ${"-~".repeat(100_000)}1;`),
  script("of-deep-powers", `var x = ${"1**".repeat(100_000)}1;`),
  script("of-deep-news", `var x = () => ${"new ".repeat(100_000)}x;`),
  script("of-deep-awaits", `async () => { ${"await ".repeat(100_000)}1; };`),
  script("of-deep-chains", `var x; x${"?.a".repeat(200_000)};`),
  script("of-deep-calls", `var x = () => x; x${"()".repeat(200_000)};`),
  script("of-deep-patterns", `var ${"[".repeat(20_000)}x${"]".repeat(20_000)} = [];`),
  script("of-deep-labels", `${numbered(20_000, (i) => `l${i}:`, "")};`),
  script("of-many-parameters", `function f(${numbered(65_536, (i) => `a${i}`)}) {}`),
  script("of-many-arguments", `var f = () => 1; f(${numbered(70_000, () => "1")});`),
  script("of-many-locals", `(function () { ${numbered(70_000, (i) => `let a${i} = ${i};`, "")} })();`),
  script("of-many-captured", `(function () { ${numbered(50_000, (i) => `let a${i} = () => a${i};`, "")} })();`),
  script("of-many-texts", `var x = [${numbered(200_000, (i) => `"t${i}"`)}];`),
  script("of-many-cases", `switch (9) { ${numbered(100_000, (i) => `case "c${i}":`, "")} }`),
  script("of-many-fields", `var x = {${numbered(100_000, (i) => `f${i}:${i}`)}};`),
  script("of-many-members", `class A {${numbered(50_000, (i) => `m${i}(){}`, "")}}`),
  script(
    "of-many-tries",
    numbered(50_000, () => "try{}catch{}", ""),
  ),
  script("of-one-long-sum", `var x = ${"1+".repeat(500_000)}1;`),
  script("of-one-long-text", `var x = 'a'${"+'a'".repeat(500_000)};`),
  script("of-one-long-name", `var ${"x".repeat(3_000_000)} = 1;`),
  script("of-one-long-number", `var x = ${"9".repeat(2_000_000)}n;`),
  script("of-one-long-fraction", `var x = 0.${"9".repeat(3_000_000)};`),
  script("of-one-long-expression", `var x = /${"(a|b)*".repeat(300_000)}/;`),
  script("of-one-long-comment", `/*${"*".repeat(4_000_000)}*/`),
  script("of-many-lines", "\n".repeat(4_000_000)),
  script("of-many-escapes", `var x = "${"\\u{1f600}".repeat(300_000)}";`),
  script("of-wide-text", `var x = "${"\u6f22".repeat(1_000_000)}";`),
  script("with-import", "import('node:fs').then(() => { globalThis.got = 1; }, () => 1);"),
  script("with-import-meta", "import.meta.url;", LOAD),
  script("with-import-of-a-module", "import fs from 'node:fs';", LOAD),
  script("with-export", "export default 1;", LOAD),
  script("with-await-at-the-top", "await new Promise(() => undefined);", LOAD),
  script("with-a-promise-that-never-settles", "__millrace = (async () => { await new Promise(() => undefined); })();", LOAD),
  script("with-another-url", "throw new Error('x');\n//# sourceURL=<isolated-vm>", LOAD),
  script("with-a-map-of-its-own", "throw new Error('x');\n//# sourceMappingURL=data:application/json;base64,e30=", LOAD),
  script("with-a-debugger", "debugger;", ["harmless"]),
  script("with-html-comments", "<!-- x\n--> y\n", ["harmless"]),
  script("with-lone-surrogates", "var x = '\ud800';", ["harmless"]),
  evaluated("evaluated-with", "Function('all', 'with (all) { for (;;) x; }')(new Proxy({}, { has: () => true, get: () => 1 }));", [
    "LIMIT_CPU",
  ]),
  evaluated("evaluated-with-loops", "Function('all', 'with (all) x;')(new Proxy({}, { has() { for (;;); } }));", ["LIMIT_CPU"]),
  evaluated("evaluated-debugger", "for (let i = 0; i < 1_000; i++) eval('debugger');", ["harmless", "LIMIT_CPU"]),
  evaluated("evaluated-without-end", "const again = (n) => eval('again(n + 1)'); again(0);", ["FUNCTION_THREW", "LIMIT_CPU"]),
  evaluated("evaluated-often", "for (let i = 0; ; i++) eval('function f' + i + '() { return ' + i + '; } f' + i + '()');", [
    "LIMIT_CPU",
    "LIMIT_MEMORY",
  ]),
  evaluated("evaluated-for-its-frames", "eval(\"throw new Error('x') //# sourceURL=<isolated-vm>\");", ["FUNCTION_THREW"]),
  evaluated("evaluated-as-another", "eval(\"throw new Error('x') //# sourceURL=neighbour.js\");", ["FUNCTION_THREW"]),
  evaluated("evaluated-with-many-parameters", "Function(...Array.from({ length: 65_535 }, (_, i) => 'a' + i), 'return 1')();"),
  evaluated("tagged-templates", "const tag = (texts) => texts.raw; for (;;) eval('tag`${1}`');", ["LIMIT_CPU", "LIMIT_MEMORY"]),
  evaluated(
    "labels-and-finally",
    "a: for (;;) { b: try { continue a; } finally { for (;;) { try { break b; } finally { continue a; } } } }",
    ["LIMIT_CPU"],
  ),
  evaluated("imports-for-ever", "for (;;) await import('x').catch(() => 1);", ["LIMIT_CPU", "LIMIT_MEMORY"]),
  { name: "map-of-a-megabyte", expects: ["FUNCTION_THREW"], code: THROWS, sourceMap: map("AAAA,".repeat(209_000)) },
  { name: "map-of-lines", expects: ["FUNCTION_THREW"], code: THROWS, sourceMap: map(";".repeat(1_000_000)) },
  { name: "map-that-goes-backwards", expects: ["FUNCTION_THREW"], code: THROWS, sourceMap: map(`ggggCAAA${",DAAA".repeat(200_000)}`) },
  {
    name: "map-of-many-sources",
    expects: ["FUNCTION_THREW"],
    code: THROWS,
    sourceMap: map(
      "AAAA,CCAA",
      Array.from({ length: 9_999 }, (_, i) => `${"d/".repeat(100)}${i}.ts`),
    ),
  },
  {
    name: "map-for-a-forged-stack",
    expects: ["FUNCTION_THREW"],
    prelude: "String.prototype.slice = String.prototype.split = function () { return this; };",
    handler: `const stringify = JSON.stringify; const stack = 'x\\n    at f (map-for-a-forged-stack.js:1:1 ' + 'a'.repeat(250_000);
      JSON.stringify = () => '{"code":"","name":"","message":"","stack":' + stringify(stack) + '}'; throw null;`,
    sourceMap: map("AAAA"),
  },
];
