import { type Effects, printable } from "./guest-effects.ts";
import type { StateCache } from "./guest-state.ts";
import { nameOf, ownerText, SHARED_KEY, VERSION_NAME } from "./guest-state-names.ts";
import { bytesAbove, expiresAt, type SetOptions, storedOf, valueOf } from "./guest-stored.ts";
import { LimitError } from "./guest-values.ts";

export interface ViewParts {
  readonly cache: StateCache;
  readonly effects: Effects;
  /** SHARED_KEY for what all keys see. */
  readonly key: string;
  /** The time of the message, which decides what has expired. */
  readonly now: number;
  readonly functionName: string;
  /** Of one value. */
  readonly valueBytesMax: number;
}

/** What `ctx.state` is for one message: what is stored under its key, with what the message itself has written over it. */
export interface StateView {
  get(name: unknown): Promise<unknown>;
  list(prefix?: unknown): Promise<Map<string, unknown>>;
  set(name: unknown, value: unknown, options?: SetOptions): void;
  delete(name: unknown): void;
}

/** Its functions are bound, so a handler may take them apart. */
export function stateView(parts: ViewParts): StateView {
  const { effects } = parts;
  const written = writtenOf(parts);
  return {
    get: (name) => get(parts, nameOf(name)),
    list: (prefix) => list(parts, prefix ?? ""),
    set: (name, value, options) => effects.write(written, nameOf(name), fitting(nameOf(name), storedOf(value, options, parts.now), parts)),
    delete: (name) => effects.write(written, nameOf(name), undefined),
  };
}

function writtenOf({ effects, key }: ViewParts): Map<string, string | undefined> {
  return key === SHARED_KEY ? effects.shared : effects.state;
}

async function get(parts: ViewParts, name: string): Promise<unknown> {
  const { cache, key, now } = parts;
  if (cache.get(key) === undefined) await cache.load([key]);
  cache.refuseNewer({ name: parts.functionName, key, now });
  const written = writtenOf(parts);
  const stored = written.has(name) ? written.get(name) : cache.get(key)?.values.get(name);
  return stored === undefined ? undefined : valueOf(stored, now);
}

async function list(parts: ViewParts, prefix: unknown): Promise<Map<string, unknown>> {
  const { cache, key, now } = parts;
  if (typeof prefix !== "string") throw new TypeError(`the prefix of names is a text, not ${printable(prefix)}`);
  if (cache.get(key) === undefined) await cache.load([key]);
  cache.refuseNewer({ name: parts.functionName, key, now });
  const found = new Map(cache.get(key)?.values);
  for (const [name, stored] of writtenOf(parts)) {
    if (stored === undefined) found.delete(name);
    else found.set(name, stored);
  }
  found.delete(VERSION_NAME);
  const there = [...found].filter(([name, stored]) => name.startsWith(prefix) && expiresAt(stored) > now);
  return new Map(there.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, stored]) => [name, valueOf(stored, now)]));
}

/** @throws LimitError when one value is too large */
export function fitting(
  name: string,
  stored: string,
  { key, functionName, valueBytesMax }: Pick<ViewParts, "key" | "functionName" | "valueBytesMax">,
): string {
  const bytes = bytesAbove(stored, valueBytesMax);
  if (bytes === undefined) return stored;
  throw new LimitError(
    "LIMIT_STATE",
    `${ownerText(functionName, key)}: the state value "${name}" is ${bytes} bytes, limits.stateValue allows ${valueBytesMax}; ` +
      "store less under one name, or raise the limit",
  );
}
