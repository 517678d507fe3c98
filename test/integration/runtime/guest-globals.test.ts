import { describe, expect, it } from "vitest";
import { decodeResults } from "../../../src/runtime/effects.ts";
import { eventually } from "../../support/eventually.ts";
import { BATCH, engineWith, LIMITS, SPEC, WAYS } from "../../support/engine.ts";

/** What the expression gives inside a function. */
async function found(expression: string): Promise<unknown> {
  using engine = engineWith(() => false);
  const code = `var __millrace = { default: { async handler(event, ctx) { ctx.emit("found", ${expression}); } } };`;
  const instance = await engine.create({ ...SPEC, code }, WAYS);
  const outcome = await instance.run(BATCH, LIMITS);
  instance.dispose();
  const [result] = decodeResults(Buffer.from(outcome.results, "latin1"), 1);
  if (result?.status !== "done") throw new Error(JSON.stringify(result));
  return JSON.parse(result.effects.events[0]?.data ?? "") as unknown;
}

describe("what a function finds", () => {
  it("in its global object is this and nothing else", async () => {
    expect(await found("Reflect.ownKeys(globalThis).map(String).sort()")).toEqual(GLOBALS.toSorted());
  });

  it.each(["WebAssembly", "SharedArrayBuffer", "Atomics", "ShadowRealm", "performance", "process", "require", "module", "$262"])(
    "is no %s, also not by other ways to the global object",
    async (name) => {
      const ways = [
        "globalThis",
        "Function('return this')()",
        "(0, eval)('this')",
        "(async () => {}).constructor('return this')()",
        "(function* () {}).constructor('return this')().next().value",
        "(class { static #x; static f() { return (function () {}).constructor('return this')(); } }).f()",
        "Reflect.construct(Function, ['return this'])()",
        "Iterator.from.constructor('return this')()",
      ];
      const checks = ways.map((way) => `${JSON.stringify(name)} in (await ${way})`);
      expect(await found(`[${checks.join(",")}, typeof ${name}]`)).toEqual([...ways.map(() => false), "undefined"]);
    },
  );

  it("is no clock finer than a millisecond", async () => {
    expect(await found("[Object.getOwnPropertyNames(Temporal).includes('Now'), 'Now' in Object(Temporal), Date.now() % 1]")).toEqual([
      false,
      false,
      0,
    ]);
    expect(await found("new Date().toTemporalInstant().epochNanoseconds % 1000000n === 0n")).toBe(true);
    expect(await found("Object.getOwnPropertyNames(console).sort()")).toEqual(["debug", "error", "info", "log", "warn"]);
    expect(await found("(delete globalThis.Temporal, [typeof Temporal])")).toEqual(["undefined"]);
    // What a look at the engine's own functions would find, wherever they hang.
    const walk = `(() => {
      const seen = new Set(); const names = [];
      const visit = (value, path) => {
        if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value) || path.length > 6) return;
        seen.add(value);
        for (const key of Reflect.ownKeys(value)) {
          const property = Object.getOwnPropertyDescriptor(value, key);
          if (property.get) visit(property.get, [...path, key]);
          if (!("value" in property)) continue;
          if (/^(now|hrtime|timeOrigin|timeStamp|monotonic.*|ArrayBufferShared.*)$/i.test(String(key))) names.push([...path, key].map(String).join("."));
          visit(property.value, [...path, key]);
        }
        visit(Object.getPrototypeOf(value), [...path, "__proto__"]);
      };
      visit(globalThis, []); visit((async () => {}).constructor, []); visit((async function* () {}).constructor, []);
      return names.sort();
    })()`;
    expect(await found(walk)).toEqual(["Date.now"]);
  });

  it("is all of Temporal but its clock", async () => {
    const names = "PlainDate,PlainTime,PlainDateTime,ZonedDateTime,Duration,Instant,PlainYearMonth,PlainMonthDay";
    expect(await found("Object.getOwnPropertyNames(Temporal).sort()")).toEqual(names.split(",").toSorted());
    expect(await found("[String(Temporal), Temporal === globalThis.Temporal, 'Temporal' in globalThis]")).toEqual([
      "[object Temporal]",
      true,
      true,
    ]);
    expect(await found("[Temporal.PlainDate.from('2026-12-01').add({ months: 3 }).toString()]")).toEqual(["2027-03-01"]);
    expect(await found("(globalThis.Temporal = 1, [Temporal])")).toEqual([1]);
  });

  it("is not what a function before it in the same process has left", async () => {
    using engine = engineWith(() => true);
    await eventually(() => expect(engine.ready).toBe(1));
    const rude = "Object.prototype.poison = 1; globalThis.left = 1; Math.max = () => 'mine';";
    const before = await engine.create({ ...SPEC, code: rude + SPEC.code }, WAYS);
    expect(await before.run(BATCH, LIMITS)).toMatchObject({ done: true });
    before.dispose();
    expect(await found("[typeof left, ({}).poison === undefined, Math.max(1, 2)]")).toEqual(["undefined", true, 2]);
  });
});

/** Node 26. When another version brings something new: may a function have it? If not, it goes to ABSENT in host/guest-realm.ts. */
const GLOBALS = [
  "Object,Function,Array,Number,parseFloat,parseInt,Infinity,NaN,undefined,Boolean,String,Symbol,Date,Promise,RegExp,Error,AggregateError",
  "EvalError,RangeError,ReferenceError,SyntaxError,TypeError,URIError,globalThis,JSON,Math,Intl,ArrayBuffer,Uint8Array,Int8Array",
  "Uint16Array,Int16Array,Uint32Array,Int32Array,BigUint64Array,BigInt64Array,Uint8ClampedArray,Float32Array,Float64Array,Float16Array",
  "DataView,Map,BigInt,Set,Iterator,WeakMap,WeakSet,Proxy,Reflect,WeakRef,decodeURI,decodeURIComponent,encodeURI",
  "encodeURIComponent,escape,unescape,eval,isFinite,isNaN,console,crypto,setTimeout,clearTimeout,setInterval,clearInterval,queueMicrotask",
  "Temporal,SuppressedError,DisposableStack,AsyncDisposableStack,__millrace",
  "fetch,Headers,Response",
].flatMap((line) => line.split(","));
