import { VERSION_NAME } from "./guest-state-names.ts";
import { expiresAt, storedUntil, valueOf } from "./guest-stored.ts";

/**
 * The mark of a key whose values all expire stays at least this long behind the last of them: it must not be taken from the disk before them, because
 * what has no mark is of version 1.
 */
const MARK_STAYS_MS_MIN = 3_600_000;

/** The version of the code that has written what is stored under a key, see `state.version` of the manifest; 1 unless it is marked. */
export function versionOf(stored: ReadonlyMap<string, string | undefined>): number {
  const mark = stored.get(VERSION_NAME);
  const version = mark === undefined ? undefined : valueOf(mark, -Infinity);
  return typeof version === "number" ? version : 1;
}

/** Until when the mark has to stay for a value that is stored at `now`; Infinity when that stays. */
export function markedUntil(stored: string, now: number): number {
  const expires = expiresAt(stored);
  return expires === Infinity ? Infinity : Math.ceil(expires + Math.max((expires - now) / 4, MARK_STAYS_MS_MIN));
}

/** Adds to what a message writes under a key the mark of this version, where it is not stored yet; takes it away with the last value of the key. */
export function markVersion(
  stored: ReadonlyMap<string, string>,
  writes: Map<string, string | undefined>,
  { version, now }: { readonly version: number; readonly now: number },
): void {
  const before = writes.get(VERSION_NAME) ?? stored.get(VERSION_NAME);
  let left = stored.has(VERSION_NAME) ? stored.size - 1 : stored.size;
  let until = 0;
  for (const [name, value] of writes) {
    if (name === VERSION_NAME) continue;
    if (stored.has(name) !== (value !== undefined)) left += value === undefined ? -1 : 1;
    if (value !== undefined) until = Math.max(until, markedUntil(value, now));
  }
  if (left === 0) {
    writes.delete(VERSION_NAME);
    if (stored.has(VERSION_NAME)) writes.set(VERSION_NAME, undefined);
    return;
  }
  const isSame = before !== undefined && versionOf(new Map([[VERSION_NAME, before]])) === version;
  const known = isSame ? expiresAt(before) : 0;
  if (known < until || !isSame) writes.set(VERSION_NAME, storedUntil(version, Math.max(known, until)));
}
