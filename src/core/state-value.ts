/** A stored state value that expires begins with this byte and the time, see runtime/host/guest-stored.ts. */
const EXPIRES = 1;
const EXPIRES_BYTES = 7;
/** The first byte of CBOR that says that it is. */
const CBOR = 0xd9;
/** Each value of a name is found within an eighth of its time to live after it expired, and a name has at most 17 places where it is looked for. */
const PARTS_MIN = 8;
const GRAIN_MS_MIN = 1_024;

/** What belongs to a function and not to one of its keys is kept under this one, which no message has. */
export const SHARED_KEY = "";

/** Under this name a key has the version of what is stored under it, see runtime/host/guest-state-version.ts; no value of a function has it. */
export const VERSION_NAME = "";

/** From when on a stored value is not there any more, in milliseconds since the epoch; undefined when it stays. */
export function expiryOf(stored: Buffer): number | undefined {
  return stored[0] === EXPIRES && stored.length >= EXPIRES_BYTES ? stored.readUIntBE(1, 6) : undefined;
}

/** Whether the bytes can be a stored value as far as their beginning says. */
export function isStored(stored: Buffer): boolean {
  return stored.length > (stored[0] === EXPIRES ? EXPIRES_BYTES : 0);
}

/** Of the value itself, without the time at which it expires. */
export function contentBytes(stored: Buffer): number {
  return stored.length - (stored[0] === EXPIRES ? EXPIRES_BYTES : 0);
}

/** As text for a guest: JSON as it reads in UTF-8, everything else one character for each byte. */
export function storedText(stored: Buffer): string {
  const at = stored[0] === EXPIRES ? EXPIRES_BYTES : 0;
  return stored.toString("latin1", 0, at) + stored.toString(stored[at] === CBOR ? "latin1" : "utf8", at);
}

/**
 * When to look whether a value that was stored at `time` has expired. Coarse, so that a value that is written again and again is not to be looked at
 * for each time.
 */
export function dueOf(expires: number, time: number): number {
  const grain = Math.max(GRAIN_MS_MIN, 2 ** Math.floor(Math.log2(Math.max(1, expires - time) / PARTS_MIN)));
  return Math.ceil(expires / grain) * grain;
}
