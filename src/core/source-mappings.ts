/** So many characters are decoded again to find a place. */
const STRIDE_CHARS = 2_048;
const [SEMICOLON, COMMA] = [0x3b, 0x2c];
/** Base64 → its six bits; -1 for what is none. */
const BITS = new Int8Array(128).fill(-1);
for (const [bits, code] of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").entries()) BITS[code] = bits;
/** Five bits each: more do not fit into 32. */
const DIGITS_MAX = 7;

/** What a segment of the mappings says, from 0 on. */
export interface Mapping {
  readonly source: number;
  readonly line: number;
  readonly column: number;
}

/** Where a reader stands: behind a segment, with what that says. */
interface Stand extends Mapping {
  readonly at: number;
  readonly scriptLine: number;
  readonly scriptColumn: number;
  readonly isMapped: boolean;
}

/**
 * The mappings of a source map (ECMA-426, 9.2). They are not kept decoded, which takes thirty times their size and a tenth of a second for a megabyte: each
 * segment is told from the one before it, so the place is kept that every so many characters have led to, and a search begins there.
 */
export class Mappings {
  readonly #text: string;
  readonly #sources: number;
  readonly #stands: Stand[] = [];

  /** @throws RangeError when the text is not laid out as the standard says, or names a source that there is not */
  constructor(text: string, sources: number) {
    this.#text = text;
    this.#sources = sources;
    const reader = new SegmentReader(text, sources);
    for (let next = 0; reader.next();) {
      if (reader.at < next) continue;
      this.#stands.push(reader.stand());
      next = reader.at + STRIDE_CHARS;
    }
  }

  /** What the last segment says that is not behind the place in the script, if it is on the same line. */
  find(line: number, column: number): Mapping | undefined {
    const first = this.#stands.findLastIndex((stand) => !isBehind(stand, line, column));
    let found = this.#stands[first];
    if (found === undefined) return undefined;
    const end = this.#stands[first + 1]?.at ?? this.#text.length;
    const reader = new SegmentReader(this.#text, this.#sources, found);
    while (reader.at < end && reader.next() && !isBehind(reader, line, column)) found = reader.stand();
    return found.scriptLine === line && found.isMapped ? found : undefined;
  }
}

function isBehind({ scriptLine, scriptColumn }: Pick<Stand, "scriptLine" | "scriptColumn">, line: number, column: number): boolean {
  return scriptLine > line || (scriptLine === line && scriptColumn > column);
}

class SegmentReader {
  readonly #text: string;
  readonly #sources: number;
  at = 0;
  scriptLine = 0;
  scriptColumn = 0;
  #source = 0;
  #line = 0;
  #column = 0;
  #isMapped = false;

  constructor(text: string, sources: number, from?: Stand) {
    this.#text = text;
    this.#sources = sources;
    if (from === undefined) return;
    this.at = from.at;
    this.scriptLine = from.scriptLine;
    this.scriptColumn = from.scriptColumn;
    this.#source = from.source;
    this.#line = from.line;
    this.#column = from.column;
    this.#isMapped = from.isMapped;
  }

  stand(): Stand {
    const { at, scriptLine, scriptColumn } = this;
    return { at, scriptLine, scriptColumn, source: this.#source, line: this.#line, column: this.#column, isMapped: this.#isMapped };
  }

  /** Reads one more segment. False when there is none. @throws RangeError */
  next(): boolean {
    for (; this.#isSeparator(); this.at++) {
      if (this.#text.charCodeAt(this.at) !== SEMICOLON) continue;
      this.scriptLine++;
      this.scriptColumn = 0;
    }
    if (this.at === this.#text.length) return false;
    this.scriptColumn += this.#number();
    this.#isMapped = !this.#isOver();
    if (this.#isMapped) {
      this.#source += this.#number();
      this.#line += this.#number();
      this.#column += this.#number();
      if (!this.#isOver()) this.#number(); // Of a name.
    }
    const isThere = this.#source >= 0 && (this.#source < this.#sources || !this.#isMapped);
    if (!isThere || !this.#isOver() || Math.min(this.scriptColumn, this.#line, this.#column) < 0)
      throw new RangeError(`the segment of the mappings that ends at character ${this.at} says nothing that can be`);
    return true;
  }

  #isSeparator(): boolean {
    const code = this.#text.charCodeAt(this.at);
    return code === SEMICOLON || code === COMMA;
  }

  #isOver(): boolean {
    return this.at === this.#text.length || this.#isSeparator();
  }

  /** A base64 VLQ (ECMA-426, 8). */
  #number(): number {
    let value = 0;
    let unit = 1;
    for (let digit = 0; digit < DIGITS_MAX; digit++) {
      const bits = BITS[this.#text.charCodeAt(this.at)] ?? -1;
      if (bits === -1) break;
      this.at++;
      value += (bits & 31) * unit;
      if (bits < 32) return value % 2 === 1 ? -(value - 1) / 2 : value / 2;
      unit *= 32;
    }
    throw new RangeError(`character ${this.at} of the mappings is none that can stand there`);
  }
}
