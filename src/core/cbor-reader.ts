/** Of arrays, maps and tags in one another. */
const DEPTH_MAX = 64;
const INDEFINITE = -1;
const BREAK = 0xff;

interface Head {
  /** 0 unsigned, 1 negative, 2 bytes, 3 text, 4 array, 5 map, 6 tag, 7 simple or float (RFC 8949, 3.1). */
  readonly major: number;
  readonly info: number;
  /** Its argument; INDEFINITE when a break ends the item. */
  readonly argument: number | bigint;
}

/**
 * Finds one value in CBOR (RFC 8949) from somebody who is not trusted: it reads from front to back, keeps nothing but that value, and goes no deeper than
 * DEPTH_MAX. Each item takes at least one byte, so that no length in it makes this take longer than the bytes are many.
 */
export class CborReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A text, number or truth value; null for any other value, undefined when there is none. @throws RangeError when the bytes are no CBOR up to there */
  find(path: readonly string[]): string | number | bigint | boolean | null | undefined {
    for (const name of path) if (!this.#enter(name)) return undefined;
    return this.#value();
  }

  /** Goes to the value of an entry of the map that comes next. */
  #enter(name: string): boolean {
    const { major, argument } = this.#untagged();
    if (major !== 5) return false;
    for (let left = Number(argument); left !== 0; left--) {
      if (left < 0 && this.#isBreak()) return false;
      const start = this.#at;
      if (this.#value() === name) return true;
      this.#at = start;
      this.#skip(0);
      this.#skip(0);
    }
    return false;
  }

  #value(): string | number | bigint | boolean | null {
    const { major, info, argument } = this.#untagged();
    if (major === 0) return argument;
    if (major === 1) return typeof argument === "bigint" ? -1n - argument : -1 - argument;
    if (major === 3 && argument !== INDEFINITE) return this.#take(Number(argument)).toString("utf8");
    if (major !== 7) return null;
    if (info === 20 || info === 21) return info === 21;
    const end = this.#at;
    if (info === 25) return halfFloat(Number(argument));
    if (info === 26) return this.#bytes.readFloatBE(end - 4);
    return info === 27 ? this.#bytes.readDoubleBE(end - 8) : null;
  }

  #untagged(): Head {
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const head = this.#head();
      if (head.major !== 6) return head;
    }
    throw new RangeError("too many tags");
  }

  #skip(depth: number): void {
    if (depth > DEPTH_MAX) throw new RangeError("too deep");
    const { major, argument } = this.#head();
    if (major === 6) return this.#skip(depth + 1);
    if (major === 2 || major === 3) {
      if (argument !== INDEFINITE) return void this.#take(Number(argument));
      while (!this.#isBreak()) this.#skip(depth + 1);
    }
    if (major !== 4 && major !== 5) return;
    const count = Number(argument) * (major === 5 ? 2 : 1);
    for (let left = count; left !== 0; left--) {
      if (left < 0 && this.#isBreak()) return;
      this.#skip(depth + 1);
    }
  }

  #isBreak(): boolean {
    if (this.#bytes.readUInt8(this.#at) !== BREAK) return false;
    this.#at++;
    return true;
  }

  #head(): Head {
    const first = this.#bytes.readUInt8(this.#at++);
    const [major, info] = [first >> 5, first & 31];
    if (info < 24) return { major, info, argument: info };
    if (info === 31 && major >= 2 && major <= 5) return { major, info, argument: INDEFINITE };
    if (info > 27) throw new RangeError("no CBOR");
    const size = 1 << (info - 24);
    const at = this.#at;
    this.#take(size);
    if (size === 8) {
      const wide = this.#bytes.readBigUInt64BE(at);
      return { major, info, argument: wide <= Number.MAX_SAFE_INTEGER ? Number(wide) : wide };
    }
    return { major, info, argument: this.#bytes.readUIntBE(at, size) };
  }

  #take(length: number): Buffer {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw new RangeError("cut short");
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }
}

/** RFC 8949, appendix D. */
function halfFloat(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const sign = (half & 0x8000) === 0 ? 1 : -1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (fraction + 1024) * 2 ** (exponent - 25);
}
