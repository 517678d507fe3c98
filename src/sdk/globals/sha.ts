import { sha2Constants } from "./sha-constants.ts";

/** What one block does to the state. `words` has room for the schedule; its first 16 words (or 16 pairs) are the block. */
type Compress = (state: Uint32Array, words: Uint32Array) => void;

/** FIPS 180-4. */
export function sha1(data: Uint8Array): Uint8Array {
  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  return digest(data, { state, blockBytes: 64, words: new Uint32Array(80), compress: compress1 });
}

export function sha256(data: Uint8Array): Uint8Array {
  const { start, rounds } = sha2Constants();
  const round = rounds.filter((_, index) => index % 2 === 0);
  const state = start.filter((_, index) => index % 2 === 0);
  return digest(data, { state, blockBytes: 64, words: new Uint32Array(64), compress: (into, words) => compress256(into, words, round) });
}

export function sha384(data: Uint8Array): Uint8Array {
  return wide(data, sha2Constants().start384).slice(0, 48);
}

export function sha512(data: Uint8Array): Uint8Array {
  return wide(data, sha2Constants().start);
}

function wide(data: Uint8Array, start: Uint32Array): Uint8Array {
  const { rounds } = sha2Constants();
  const words = new Uint32Array(160);
  return digest(data, { state: start.slice(), blockBytes: 128, words, compress: (into, all) => compress512(into, all, rounds) });
}

interface Hash {
  readonly state: Uint32Array;
  readonly blockBytes: number;
  readonly words: Uint32Array;
  readonly compress: Compress;
}

function digest(data: Uint8Array, { state, blockBytes, words, compress }: Hash): Uint8Array {
  const whole = data.length - (data.length % blockBytes);
  for (let from = 0; from < whole; from += blockBytes) block(data, from);
  const rest = data.subarray(whole);
  const lengthBytes = blockBytes / 8;
  const tail = new Uint8Array(rest.length + 1 + lengthBytes > blockBytes ? 2 * blockBytes : blockBytes);
  tail.set(rest);
  tail[rest.length] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor(data.length / 2 ** 29));
  view.setUint32(tail.length - 4, data.length * 8);
  for (let from = 0; from < tail.length; from += blockBytes) block(tail, from);
  const result = new DataView(new ArrayBuffer(state.byteLength));
  state.forEach((word, index) => result.setUint32(4 * index, word));
  return new Uint8Array(result.buffer);

  function block(bytes: Uint8Array, from: number): void {
    const source = new DataView(bytes.buffer, bytes.byteOffset + from, blockBytes);
    for (let i = 0; i < blockBytes / 4; i++) words[i] = source.getUint32(4 * i);
    compress(state, words);
  }
}

function rotate(word: number, left: number): number {
  return (word << left) | (word >>> (32 - left));
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

function compress1(state: Uint32Array, words: Uint32Array): void {
  for (let i = 16; i < 80; i++) words[i] = rotate(at(words, i - 3) ^ at(words, i - 8) ^ at(words, i - 14) ^ at(words, i - 16), 1);
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
  for (let i = 0; i < 80; i++) {
    const next = (rotate(a, 5) + mix1(i, [b, c, d]) + e + at(words, i)) | 0;
    [e, d, c, b, a] = [d, c, rotate(b, 30), a, next];
  }
  add(state, [a, b, c, d, e]);
}

function mix1(round: number, [b, c, d]: readonly [number, number, number]): number {
  if (round < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (round < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

function add(state: Uint32Array, values: readonly number[]): void {
  values.forEach((value, index) => (state[index] = at(state, index) + value));
}

function compress256(state: Uint32Array, words: Uint32Array, round: Uint32Array): void {
  for (let i = 16; i < 64; i++) {
    const [low, high] = [at(words, i - 15), at(words, i - 2)];
    const small = rotate(low, 25) ^ rotate(low, 14) ^ (low >>> 3);
    const large = rotate(high, 15) ^ rotate(high, 13) ^ (high >>> 10);
    words[i] = at(words, i - 16) + small + at(words, i - 7) + large;
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let i = 0; i < 64; i++) {
    const chosen = (e & f) ^ (~e & g);
    const first = (h + (rotate(e, 26) ^ rotate(e, 21) ^ rotate(e, 7)) + chosen + at(round, i) + at(words, i)) | 0;
    const second = ((rotate(a, 30) ^ rotate(a, 19) ^ rotate(a, 10)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  add(state, [a, b, c, d, e, f, g, h]);
}

/** Words of 64 bits as pairs of 32; sums carry by hand. `v` holds a to h. */
function compress512(state: Uint32Array, words: Uint32Array, round: Uint32Array): void {
  for (let i = 32; i < 160; i += 2) schedule512(words, i);
  const v = state.slice();
  for (let i = 0; i < 160; i += 2) round512(v, words, { round, i });
  for (let i = 0; i < 16; i += 2) addPair(state, i, at(v, i), at(v, i + 1));
}

function addPair(words: Uint32Array, index: number, high: number, low: number): void {
  const sum = at(words, index + 1) + (low >>> 0);
  words[index + 1] = sum;
  words[index] = at(words, index) + high + (sum > 0xffffffff ? 1 : 0);
}

/** The high half of a pair rotated right; with the halves swapped, the low one. By 32 and more the halves change places. */
function right(high: number, low: number, by: number): number {
  return by < 32 ? (high >>> by) | (low << (32 - by)) : (low >>> (by - 32)) | (high << (64 - by));
}

const SUM = new Uint32Array(2);

function schedule512(words: Uint32Array, i: number): void {
  const [sh, sl, lh, ll] = [at(words, i - 30), at(words, i - 29), at(words, i - 4), at(words, i - 3)];
  SUM[0] = at(words, i - 32);
  SUM[1] = at(words, i - 31);
  addPair(SUM, 0, at(words, i - 14), at(words, i - 13));
  addPair(SUM, 0, right(sh, sl, 1) ^ right(sh, sl, 8) ^ (sh >>> 7), right(sl, sh, 1) ^ right(sl, sh, 8) ^ ((sl >>> 7) | (sh << 25)));
  addPair(SUM, 0, right(lh, ll, 19) ^ right(lh, ll, 61) ^ (lh >>> 6), right(ll, lh, 19) ^ right(ll, lh, 61) ^ ((ll >>> 6) | (lh << 26)));
  words[i] = at(SUM, 0);
  words[i + 1] = at(SUM, 1);
}

function round512(v: Uint32Array, words: Uint32Array, { round, i }: { readonly round: Uint32Array; readonly i: number }): void {
  const [eh, el, ah, al] = [at(v, 8), at(v, 9), at(v, 0), at(v, 1)];
  SUM[0] = at(v, 14);
  SUM[1] = at(v, 15);
  addPair(SUM, 0, right(eh, el, 14) ^ right(eh, el, 18) ^ right(eh, el, 41), right(el, eh, 14) ^ right(el, eh, 18) ^ right(el, eh, 41));
  addPair(SUM, 0, (eh & at(v, 10)) ^ (~eh & at(v, 12)), (el & at(v, 11)) ^ (~el & at(v, 13)));
  addPair(SUM, 0, at(round, i), at(round, i + 1));
  addPair(SUM, 0, at(words, i), at(words, i + 1));
  const [bh, bl, ch, cl] = [at(v, 2), at(v, 3), at(v, 4), at(v, 5)];
  v.copyWithin(2, 0, 14);
  addPair(v, 8, at(SUM, 0), at(SUM, 1));
  addPair(SUM, 0, right(ah, al, 28) ^ right(ah, al, 34) ^ right(ah, al, 39), right(al, ah, 28) ^ right(al, ah, 34) ^ right(al, ah, 39));
  addPair(SUM, 0, (ah & bh) ^ (ah & ch) ^ (bh & ch), (al & bl) ^ (al & cl) ^ (bl & cl));
  v[0] = at(SUM, 0);
  v[1] = at(SUM, 1);
}
