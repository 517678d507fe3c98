/** Places for remembered texts; a power of two. */
const PLACES = 16_384;
/** Longer ones are not worth being kept. */
const BYTES_MAX = 128;

/**
 * Texts of topics by their bytes: sensors publish to the same ones over and over, and a text that was met before need be neither decoded nor
 * hashed again wherever it is looked up. Each topic has one place, so what is remembered has a bound; topics that share a place take it in turns.
 */
export class TopicTexts {
  readonly #texts: (string | undefined)[] = Array.from({ length: PLACES });
  readonly #check: (text: string, bytes: Buffer) => void;

  /** `check` throws for texts that are not to be; those that are remembered are not asked about again. */
  constructor(check: (text: string, bytes: Buffer) => void = () => undefined) {
    this.#check = check;
  }

  /** The bytes from `start` to `end` as UTF-8; `likely` is a text that was given before, and may be it. @throws what `check` throws */
  at(bytes: Buffer, start: number, end: number, likely?: string): string {
    if (likely !== undefined && isSame(likely, bytes, start, end)) return likely;
    if (end - start > BYTES_MAX) return this.#decode(bytes, start, end);
    const place = placeOf(bytes, start, end);
    const known = this.#texts[place];
    if (known !== undefined && isSame(known, bytes, start, end)) return known;
    const text = this.#decode(bytes, start, end);
    this.#texts[place] = text;
    return text;
  }

  #decode(bytes: Buffer, start: number, end: number): string {
    const text = bytes.toString("utf8", start, end);
    this.#check(text, bytes.subarray(start, end));
    return text;
  }
}

/** FNV-1a. */
function placeOf(bytes: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) & (PLACES - 1);
}

/** Only of ASCII: in no other text the characters are the bytes, so it is never taken for the same. */
function isSame(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127 || code !== bytes[start + index]) return false;
  }
  return true;
}
