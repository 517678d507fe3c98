import { nameOf, VERSION_NAME } from "./guest-state-names.ts";
import { expiresAt, storedUntil, valueOf } from "./guest-stored.ts";
import { markedUntil, versionOf } from "./guest-state-version.ts";

/** `migrate` of a function: from all values of a key, by name, to those that are kept. */
export type Migrate = (entries: Map<string, unknown>, from: number, ctx: object) => unknown;

interface Migration {
  readonly migrate: Migrate;
  /** The version of the code. */
  readonly version: number;
  /** The time of the message, which decides what has expired. */
  readonly now: number;
  /** What the function is given beside. */
  readonly ctx: object;
  /** Throws when one value is too large. */
  readonly check: (name: string, stored: string) => void;
}

/** Whether there is anything under the key that older code has written. */
export function isOutdated(stored: ReadonlyMap<string, string>, { version, now }: Pick<Migration, "version" | "now">): boolean {
  if (stored.size === 0 || versionOf(stored) >= version) return false;
  for (const [name, value] of stored) if (name !== VERSION_NAME && expiresAt(value) > now) return true;
  return false;
}

/** What has to be written to bring the values of a key to the version of the code, the mark of it included. @throws what `migrate` throws, and TypeError */
export async function migrated(stored: ReadonlyMap<string, string>, migration: Migration): Promise<Map<string, string | undefined>> {
  const { migrate, version, now, ctx, check } = migration;
  const there = [...stored].filter(([name, value]) => name !== VERSION_NAME && expiresAt(value) > now);
  const entries = new Map(there.map(([name, value]) => [name, valueOf(value, now)]));
  const kept = entriesOf(await migrate(entries, versionOf(stored), ctx));
  const writes = new Map<string, string | undefined>();
  let until = 0;
  for (const [name, value] of kept) {
    const before = stored.get(nameOf(name));
    // A value that expires does so under its name, whatever it is now.
    const expires = before === undefined ? Infinity : expiresAt(before);
    const after = storedUntil(value, expires > now ? expires : Infinity);
    check(name, after);
    until = Math.max(until, markedUntil(after, now));
    if (after !== before) writes.set(name, after);
  }
  for (const name of stored.keys()) if (name !== VERSION_NAME && !kept.has(name)) writes.set(name, undefined);
  if (kept.size > 0) writes.set(VERSION_NAME, storedUntil(version, until));
  else if (stored.has(VERSION_NAME)) writes.set(VERSION_NAME, undefined);
  return writes;
}

function entriesOf(returned: unknown): ReadonlyMap<string, unknown> {
  if (returned instanceof Map) return returned as Map<string, unknown>;
  const isPlain = typeof returned === "object" && returned !== null && !Array.isArray(returned);
  if (isPlain) return new Map(Object.entries(returned));
  throw new TypeError("migrate returns all values that the key has from now on, as a Map or an object by name");
}
