import { type Effects, printable } from "./guest-effects.ts";
import type { StateCache } from "./guest-state.ts";
import { jsonOf, LimitError } from "./guest-values.ts";

export interface ViewParts {
  readonly cache: StateCache;
  readonly effects: Effects;
  readonly key: string;
  /** Of one value. */
  readonly valueBytesMax: number;
}

/** What `ctx.state` is for one message: what is stored under its key, with what the message itself has written over it. */
export interface StateView {
  get(name: unknown): Promise<unknown>;
  list(prefix?: unknown): Promise<Map<string, unknown>>;
  set(name: unknown, value: unknown): void;
  delete(name: unknown): void;
}

/** Its functions are bound, so a handler may take them apart. */
export function stateView(parts: ViewParts): StateView {
  const { effects } = parts;
  return {
    get: (name) => get(parts, nameOf(name)),
    list: (prefix) => list(parts, prefix ?? ""),
    set: (name, value) => effects.write(nameOf(name), encoded(nameOf(name), value, parts)),
    delete: (name) => effects.write(nameOf(name), undefined),
  };
}

async function get({ cache, effects, key }: ViewParts, name: string): Promise<unknown> {
  if (cache.get(key) === undefined) await cache.load([key]);
  const written = effects.state;
  const value = written.has(name) ? written.get(name) : cache.get(key)?.values.get(name);
  return value === undefined ? undefined : JSON.parse(value);
}

async function list({ cache, effects, key }: ViewParts, prefix: unknown): Promise<Map<string, unknown>> {
  if (typeof prefix !== "string") throw new TypeError(`the prefix of names is a text, not ${printable(prefix)}`);
  if (cache.get(key) === undefined) await cache.load([key]);
  const found = new Map(cache.get(key)?.values);
  for (const [name, value] of effects.state) {
    if (value === undefined) found.delete(name);
    else found.set(name, value);
  }
  const names = [...found.keys()].filter((name) => name.startsWith(prefix)).toSorted();
  return new Map(names.map((name) => [name, JSON.parse(found.get(name) ?? "null")]));
}

function encoded(name: string, value: unknown, { valueBytesMax }: ViewParts): string {
  const text = jsonOf(value);
  if (text.length > valueBytesMax) {
    throw new LimitError("LIMIT_STATE", `the state value "${name}" is ${text.length} bytes, at most ${valueBytesMax} are allowed`);
  }
  return text;
}

function nameOf(name: unknown): string {
  // A name that is no Unicode text would be another one when it comes back from the disk.
  if (typeof name !== "string" || name.length === 0 || name.length > 1024 || !name.isWellFormed()) {
    throw new TypeError("the name of a state value is a text of 1 to 1,024 characters");
  }
  return name;
}
