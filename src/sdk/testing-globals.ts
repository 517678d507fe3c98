import { AsyncLocalStorage } from "node:async_hooks";
import type { Fetch } from "./index.ts";

/** What a handler finds as globals. */
export interface TestGlobals {
  readonly fetch: Fetch;
  readonly timers: Readonly<Record<"setTimeout" | "setInterval" | "clear", Callable>>;
}

type Callable = (...all: never[]) => unknown;

const handling = new AsyncLocalStorage<TestGlobals>();
/** What has been put in the place of Node's own, or of what a test has put there. */
const replaced = new WeakSet<object>();

const OWN: Readonly<Record<string, (globals: TestGlobals) => Callable>> = {
  fetch: ({ fetch }) => fetch,
  setTimeout: ({ timers }) => timers.setTimeout,
  setInterval: ({ timers }) => timers.setInterval,
  clearTimeout: ({ timers }) => timers.clear,
  clearInterval: ({ timers }) => timers.clear,
};

/** Runs what belongs to a function so that its globals are its own, and those of everybody else what they were. */
export function withGlobals<T>(globals: TestGlobals, run: () => T): T {
  for (const [name, of] of Object.entries(OWN)) replace(name, of);
  return handling.run(globals, run);
}

/** Runs what is not the function's, although it was called from there. */
export function outside<T>(run: () => T): T {
  return handling.exit(run);
}

function replace(name: string, of: (globals: TestGlobals) => Callable): void {
  const outer: unknown = Reflect.get(globalThis, name);
  if (typeof outer !== "function" || replaced.has(outer)) return;
  const value = (...all: never[]): unknown => {
    const globals = handling.getStore();
    return Reflect.apply(globals === undefined ? (outer as Callable) : of(globals), undefined, all);
  };
  // Such as the `promisify` of Node's timers.
  Object.defineProperties(value, Object.getOwnPropertyDescriptors(outer));
  replaced.add(value);
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
