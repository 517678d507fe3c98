import type { Snippet } from "../snippet.ts";

/** Nobody listens there, and nothing may get there. */
const CLOSED = "http://127.0.0.1:9";
const HTTP = { plan: { http: [CLOSED] } } as const;

/** What the gateway does for functions: fetches. None of these gets an answer. */
export const FETCHES: readonly Snippet[] = [
  { name: "fetches-metadata", expects: ["FETCH_FORBIDDEN"], handler: "await fetch('http://169.254.169.254/latest/meta-data/');" },
  {
    name: "fetches-metadata-in-disguise",
    expects: ["harmless"],
    handler: `for (const host of ['0xa9fea9fe', '2852039166', '[::ffff:a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]', '0251.0376.0251.0376', '169.254.169.254.'])
      await fetch('http://' + host + '/').then(() => { throw new Error('it has got there'); },
        (error) => { if (error.code !== 'FETCH_FORBIDDEN') throw error; });`,
    plan: { http: ["*.example.com"] },
  },
  { name: "fetches-the-gateway", expects: ["FETCH_FORBIDDEN"], handler: "await fetch('http://localhost:8330/v1/stats');", ...HTTP },
  {
    name: "fetches-files",
    expects: ["FUNCTION_THREW"],
    handler: "await fetch('file:///etc/passwd');",
    ...HTTP,
  },
  {
    name: "fetches-too-often",
    expects: ["LIMIT_FETCH"],
    handler: `await Promise.all(Array.from({ length: 101 }, (_, i) => fetch('${CLOSED}/' + i)));`,
    ...HTTP,
  },
  {
    name: "fetches-without-waiting",
    expects: ["harmless"],
    handler: `for (let i = 0; i < 20; i++) fetch('${CLOSED}/' + i).catch(() => 1);`,
    ...HTTP,
  },
  {
    name: "fetches-and-does-not-listen",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_FETCH"],
    handler: `for (;;) { try { fetch('${CLOSED}/').catch(() => 1); } catch {} }`,
    ...HTTP,
  },
  {
    name: "fetches-with-forged-headers",
    expects: ["harmless"],
    handler: `RegExp.prototype.test = () => true; RegExp.prototype[Symbol.replace] = (text) => text;
      await fetch('${CLOSED}/', { headers: [['a', 'b\\r\\nhost: evil'], ['content-length', '9']] })
        .then(() => { throw new Error('sent'); }, (error) => { if (error.code === 'FETCH_FAILED') throw error; });`,
    ...HTTP,
  },
  {
    name: "fetches-large-bodies",
    expects: ["LIMIT_FETCH", "LIMIT_MEMORY", "LIMIT_CPU"],
    handler: `const body = new Uint8Array(2e6); await Promise.all(Array.from({ length: 100 }, () => fetch('${CLOSED}/', { method: 'POST', body })));`,
    ...HTTP,
  },
  {
    name: "fetches-with-a-broken-map",
    expects: ["FETCH_FAILED", "LIMIT_WALL", "LIMIT_CALLS", "FUNCTION_THREW"],
    handler: `Map.prototype.delete = () => true; Map.prototype.set = () => 1; JSON.stringify = () => '{'; await fetch('${CLOSED}/');`,
    ...HTTP,
  },
  {
    name: "fetches-with-a-loop-for-a-signal",
    expects: ["LIMIT_CPU"],
    handler: `await fetch('${CLOSED}/', { signal: { get aborted() { for (;;); } } });`,
    ...HTTP,
  },
  {
    name: "fetches-unreachable",
    expects: ["FETCH_FAILED"],
    handler: `await fetch('${CLOSED}/');`,
    ...HTTP,
  },
  {
    name: "secret-of-others",
    expects: ["PERMISSION_DENIED"],
    handler: "await ctx.secret('API_KEY');",
  },
];
