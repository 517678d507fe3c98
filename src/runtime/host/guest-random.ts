const RANDOM_BYTES_MAX = 65_536;
const KEY_WORDS = 8;
const BLOCK_WORDS = 16;
/** Blocks made at a time; the first half of the first one is the next key. */
const BLOCKS = 12;
/** "expand 32-byte k", RFC 8439, section 2.3. */
const CHACHA = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;
/** Columns, then diagonals. */
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

/**
 * Random bytes from a key that the host gives each isolate: ChaCha20 that forgets the key it has used, so that nobody who reads the isolate's
 * memory can tell what was drawn before. The host is not asked again, however many bytes a function wants.
 */
class Random {
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #words = new Uint32Array(BLOCKS * BLOCK_WORDS);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  #at = this.#bytes.length;

  /** `seed` is 64 hexadecimal digits. */
  seed(seed: string): void {
    for (let word = 0; word < KEY_WORDS; word++) this.#key[word] = Number.parseInt(seed.slice(8 * word, 8 * word + 8), 16);
    this.#at = this.#bytes.length;
  }

  draw(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#at === this.#bytes.length) this.#refill();
      const part = this.#bytes.subarray(this.#at, this.#at + bytes.length - at);
      bytes.set(part, at);
      part.fill(0);
      this.#at += part.length;
      at += part.length;
    }
  }

  #refill(): void {
    for (let block = 0; block < BLOCKS; block++)
      chachaBlock(this.#key, block, this.#words.subarray(block * BLOCK_WORDS, (block + 1) * BLOCK_WORDS));
    this.#key.set(this.#words.subarray(0, KEY_WORDS));
    this.#words.fill(0, 0, KEY_WORDS);
    this.#at = 4 * KEY_WORDS;
  }
}

/** The block function of RFC 8439 with a nonce of zeros; no key is used for more than BLOCKS of them. */
export function chachaBlock(key: Uint32Array, counter: number, block: Uint32Array): void {
  block.set(CHACHA);
  block.set(key, CHACHA.length);
  block[12] = counter;
  block.fill(0, 13);
  const start = block.slice();
  for (let round = 0; round < 10; round++) for (const [a, b, c, d] of QUARTERS) chachaQuarter(block, a, b, [c, d]);
  start.forEach((word, index) => (block[index] = (block[index] ?? 0) + word));
}

function chachaQuarter(block: Uint32Array, ai: number, bi: number, [ci, di]: readonly [number, number]): void {
  let [a, b, c, d] = [block[ai] ?? 0, block[bi] ?? 0, block[ci] ?? 0, block[di] ?? 0];
  a = (a + b) | 0;
  d = turned(d ^ a, 16);
  c = (c + d) | 0;
  b = turned(b ^ c, 12);
  a = (a + b) | 0;
  d = turned(d ^ a, 8);
  c = (c + d) | 0;
  b = turned(b ^ c, 7);
  block[ai] = a;
  block[bi] = b;
  block[ci] = c;
  block[di] = d;
}

function turned(word: number, left: number): number {
  return (word << left) | (word >>> (32 - left));
}

/** Of this isolate. */
const random = new Random();

/** Random digits that no code of the function has had a hand in; never all zero. */
export function randomHex(bytes: number): string {
  const drawn = new Uint8Array(bytes);
  random.draw(drawn);
  const text = hexOf(drawn);
  return /^0+$/.test(text) ? randomHex(bytes) : text;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `crypto` as every isolate has it; `millrace build` adds `subtle` for those that name it. */
export function installRandom(seed: string): void {
  random.seed(seed);
  const value = {
    getRandomValues: <T>(array: T): T => {
      if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues fills a typed array of whole numbers");
      if (array.byteLength > RANDOM_BYTES_MAX) throw new RangeError(`getRandomValues fills at most ${RANDOM_BYTES_MAX} bytes at once`);
      random.draw(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      return array;
    },
    randomUUID: (): string => {
      const bytes = new Uint8Array(16);
      random.draw(bytes);
      bytes[6] = 0x40 | ((bytes[6] ?? 0) & 0x0f);
      bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
      const digits = hexOf(bytes);
      return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
  };
  Object.defineProperty(globalThis, "crypto", { value, writable: true, configurable: true });
}
