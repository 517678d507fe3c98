import { decodeValue, encodeValue, isCbor } from "./guest-cbor.ts";
import { readU48, toBytes, u48 } from "./guest-codec.ts";

/**
 * A state value as it is stored: JSON text where JSON gives it back as it is, CBOR where it does not. One that expires has in front a byte 1 and the time from
 * which on it is not there, as a u48 in milliseconds since the epoch. No JSON text begins like one of the others.
 */
const EXPIRES = "\x01";
const EXPIRES_CHARS = 7;
const TTL_MS_MAX = 100 * 365 * 86_400_000;
const TTL_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface SetOptions {
  readonly ttl?: unknown;
}

/** @throws TypeError for what cannot be kept, and for a `ttl` that is none. */
export function storedOf(value: unknown, options: SetOptions | undefined, now: number): string {
  const ttl = options?.ttl;
  return storedUntil(value, ttl === undefined ? Infinity : Math.ceil(now + ttlMs(ttl)));
}

/** The same for a value that is there until then. @throws TypeError for what cannot be kept */
export function storedUntil(value: unknown, expires: number): string {
  const content = encodeValue(value);
  return expires === Infinity ? content : `${EXPIRES}${u48(expires)}${content}`;
}

/** What was stored; undefined when it has expired by `now`. */
export function valueOf(stored: string, now: number): unknown {
  if (expiresAt(stored) <= now) return undefined;
  return decodeValue(contentOf(stored));
}

/** From when on it is not there any more; Infinity when it stays. */
export function expiresAt(stored: string): number {
  return stored.startsWith(EXPIRES) ? readU48(stored, 1) : Infinity;
}

function contentOf(stored: string): string {
  return stored.startsWith(EXPIRES) ? stored.slice(EXPIRES_CHARS) : stored;
}

/** The bytes of the value itself when they are more than `max`. */
export function bytesAbove(stored: string, max: number): number | undefined {
  const content = contentOf(stored);
  if (content.length * 3 <= max) return undefined;
  const bytes = contentBytes(content).length;
  return bytes > max ? bytes : undefined;
}

/** As it goes to the disk: one character for each byte. */
export function storedBytes(stored: string): string {
  const head = stored.startsWith(EXPIRES) ? stored.slice(0, EXPIRES_CHARS) : "";
  return head + contentBytes(contentOf(stored));
}

function contentBytes(content: string): string {
  return isCbor(content) ? content : toBytes(content);
}

function ttlMs(ttl: unknown): number {
  const match = typeof ttl === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(ttl) : null;
  const ms = match === null ? ttl : Number(match[1]) * (TTL_UNITS[match[2] ?? ""] ?? 0);
  if (typeof ms === "number" && ms > 0 && ms <= TTL_MS_MAX) return ms;
  throw new TypeError('a ttl is a number of milliseconds above 0 or a text such as "10m", at most 100 years');
}
