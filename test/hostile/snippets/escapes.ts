import type { Snippet } from "../snippet.ts";

/** What must not be there, found in any way: then the handler throws, and that is not what is expected. */
const LOOK = `const ask = 'return typeof process + typeof require + typeof Buffer';
  const nothing = 'undefinedundefinedundefined';
  const outside = (make) => { try { return make(ask)(); } catch { return nothing; } };
  const look = (make) => { if (typeof make === 'function' && outside(make) !== nothing) throw new Error('it has got out'); };`;

const absent = (names: readonly string[]): string =>
  `for (const name of ${JSON.stringify(names)}) if (Function('return typeof ' + name)() !== 'undefined') throw new Error(name + ' is there');`;

/** Ways out of the isolate. Nothing may be found. */
export const ESCAPES: readonly Snippet[] = [
  {
    name: "escape-constructor",
    expects: ["harmless"],
    handler: `${LOOK} look(event.constructor.constructor); look(ctx.constructor.constructor);`,
  },
  {
    name: "escape-functions-of-context",
    expects: ["harmless"],
    handler: `${LOOK} for (const one of [ctx.publish, ctx.emit, ctx.now, ctx.log.info, ctx.state.get, console.log]) look(one.constructor);`,
  },
  {
    name: "escape-promise",
    expects: ["harmless"],
    handler: `${LOOK} const asked = ctx.state.get('x'); look(asked.constructor.constructor); await asked;`,
  },
  {
    name: "escape-error",
    expects: ["harmless"],
    handler: `${LOOK} try { ctx.publish('#', 1); } catch (error) { look(error.constructor.constructor); }
      try { null.x; } catch (error) { look(error.constructor.constructor); }`,
  },
  {
    name: "escape-stack-overflow",
    expects: ["harmless", "LIMIT_CPU"],
    handler: `${LOOK} const deeper = () => { try { deeper(); } catch (error) { look(error.constructor.constructor); throw error; } };
      try { deeper(); } catch (error) { look(error.constructor.constructor); }`,
  },
  {
    name: "escape-stack-frames",
    expects: ["harmless"],
    handler: `${LOOK} Error.stackTraceLimit = Infinity; Error.prepareStackTrace = (_, frames) => frames;
      for (const frame of new Error().stack) for (const one of [frame.getThis(), frame.getFunction()]) look(one?.constructor?.constructor);`,
  },
  {
    name: "escape-capture",
    expects: ["harmless"],
    handler: `${LOOK} Error.prepareStackTrace = (error, frames) => { for (const frame of frames) look(frame.constructor.constructor); return 'x'; };
      const trap = {}; Error.captureStackTrace?.(trap); trap.stack;`,
  },
  {
    name: "stack-hook-that-loops",
    expects: ["LIMIT_CPU"],
    handler: "Error.prepareStackTrace = () => { for (;;); }; throw new Error('x');",
  },
  {
    name: "escape-import",
    expects: ["harmless"],
    handler: "await import('node:fs').then(() => { throw new Error('imported'); }, () => undefined);",
  },
  {
    name: "escape-eval",
    expects: ["harmless"],
    handler: `${LOOK} look((0, eval)('Function'));
      const asked = 'return typeof process + typeof require';
      const found = [await (async () => {}).constructor(asked)(), (function* () {}).constructor(asked)().next().value];
      if (found.some((one) => one !== 'undefinedundefined')) throw new Error('it has got out');`,
  },
  {
    name: "absent-node",
    expects: ["harmless"],
    handler: absent(["process", "require", "module", "Buffer", "global", "setImmediate", "performance"]),
  },
  {
    name: "absent-engine",
    expects: ["harmless"],
    handler: absent(["ivm", "_ivm", "Isolate", "Reference", "loadState", "createGuest", "ShadowRealm"]),
  },
  { name: "absent-fine-clocks", expects: ["harmless"], handler: absent(["performance", "Temporal.Now"]) },
  { name: "absent-shared-memory", expects: ["harmless"], handler: absent(["WebAssembly", "SharedArrayBuffer", "Atomics"]) },
  // What it calls is called by V8 when it likes, and no limit would stop that.
  { name: "absent-finalizers", expects: ["harmless"], handler: absent(["FinalizationRegistry"]) },
  {
    name: "escape-shared-memory",
    expects: ["harmless"],
    handler: `const found = Object.getOwnPropertyNames(globalThis).filter((name) => /wasm|assembly|shared|atomic/i.test(name));
      if (found.length > 0) throw new Error(found.join());`,
  },
];
