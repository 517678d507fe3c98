import { fromBytes, readU16, readU32, toBytes, u16, u32 } from "./guest-codec.ts";

/**
 * Values that JSON would damage, as CBOR (RFC 8949), one character for each byte. Only what is written here is read: definite lengths, integers of 32 bits,
 * other numbers as floats of 64, and these tags: 0 and 1 dates, 2 and 3 bigints, 258 sets, 259 maps, and typed arrays in little-endian order (RFC 8746).
 */
const LEVELS_MAX = 500;
/** Self-described CBOR (RFC 8949, 3.4.6), which no JSON text begins with. */
const CBOR = "\xd9\xd9\xf7";
const TAG_TEXT_DATE = 0;
const TAG_DATE = 1;
const TAG_BIGINT = 2;
const TAG_NEGATIVE_BIGINT = 3;
const TAG_SET = 258;
const TAG_MAP = 259;

type TypedArray = ArrayBufferView<ArrayBuffer>;
const ARRAYS: readonly (readonly [number, new (buffer: ArrayBuffer) => TypedArray])[] = [
  [68, Uint8ClampedArray],
  [69, Uint16Array],
  [70, Uint32Array],
  [71, BigUint64Array],
  [72, Int8Array],
  [77, Int16Array],
  [78, Int32Array],
  [79, BigInt64Array],
  [85, Float32Array],
  [86, Float64Array],
];

/** A value as text: JSON when that gives it back as it is, otherwise CBOR. @throws TypeError for what cannot be kept */
export function encodeValue(value: unknown): string {
  if (!survivesJson(value, 0)) return CBOR + cborOf(value, 0);
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${typeof value} cannot be kept in the state`);
  return text;
}

/** The reverse. @throws SyntaxError, RangeError for what `encodeValue` does not write */
export function decodeValue(text: string): unknown {
  return text.startsWith(CBOR) ? new CborReader(text, CBOR.length).all() : JSON.parse(text);
}

export function isCbor(text: string): boolean {
  return text.charCodeAt(0) === 0xd9;
}

/** What JSON leaves out (functions, symbols) and what says itself how it is written (`toJSON`) is left to it. */
function survivesJson(value: unknown, level: number): boolean {
  if (typeof value === "number") return Number.isFinite(value) && (value !== 0 || 1 / value > 0);
  if (typeof value !== "object") return value !== undefined ? typeof value !== "bigint" : level === 0;
  if (value === null) return true;
  if (level >= LEVELS_MAX) throw new TypeError(`a state value is more than ${LEVELS_MAX} levels deep, or holds itself`);
  if (Array.isArray(value)) return listSurvivesJson(value, level + 1);
  const fields = value as Readonly<Record<string, unknown>>;
  if (isRich(value)) return false;
  if (typeof fields["toJSON"] === "function") return true;
  for (const key in fields) if (!survivesJson(fields[key], level + 1)) return false;
  return true;
}

function isRich(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return false;
  return value instanceof Date || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

function listSurvivesJson(list: readonly unknown[], level: number): boolean {
  for (let i = 0; i < list.length; i++) if (!survivesJson(list[i], level)) return false;
  return true;
}

function writesItself(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

function cborOf(value: unknown, level: number): string {
  if (typeof value === "number") return numberCbor(value);
  if (typeof value === "string") return textCbor(value);
  if (typeof value === "bigint") return bigintCbor(value);
  if (typeof value === "boolean") return value ? "\xf5" : "\xf4";
  if (value === null || typeof value === "function" || typeof value === "symbol") return "\xf6";
  return typeof value === "object" ? objectCbor(value, level) : "\xf7";
}

function objectCbor(value: object, level: number): string {
  if (level >= LEVELS_MAX) throw new TypeError(`a state value is more than ${LEVELS_MAX} levels deep, or holds itself`);
  const below = level + 1;
  if (Array.isArray(value)) return listCbor(Array.from(value), below);
  if (value instanceof Date) return dateCbor(value.getTime());
  if (value instanceof Map) {
    const entries = [...value].map(([key, element]) => cborOf(key, below) + cborOf(element, below));
    return cborHead(6, TAG_MAP) + cborHead(5, entries.length) + entries.join("");
  }
  if (value instanceof Set) return cborHead(6, TAG_SET) + listCbor([...value], below);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return viewCbor(value);
  if (writesItself(value)) return cborOf(value.toJSON(), below);
  const entries = Object.entries(value).filter(([, element]) => typeof element !== "function" && typeof element !== "symbol");
  return cborHead(5, entries.length) + entries.map(([key, element]) => textCbor(key) + cborOf(element, below)).join("");
}

function listCbor(list: readonly unknown[], level: number): string {
  return cborHead(4, list.length) + list.map((element) => cborOf(element, level)).join("");
}

/** Seconds, as the tag says; where a float of them is not exact to the millisecond, as text. */
function dateCbor(ms: number): string {
  const seconds = ms / 1_000;
  if (Number.isNaN(ms) || Math.round(seconds * 1_000) === ms) return cborHead(6, TAG_DATE) + numberCbor(seconds);
  return cborHead(6, TAG_TEXT_DATE) + textCbor(new Date(ms).toISOString());
}

function viewCbor(value: ArrayBufferView | ArrayBuffer): string {
  const tag = ARRAYS.find(([, type]) => value instanceof type)?.[0];
  if (value instanceof ArrayBuffer || (tag === undefined && !(value instanceof Uint8Array)))
    throw new TypeError("of buffers and views only typed arrays can be kept in the state, such as a Uint8Array");
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return (tag === undefined ? "" : cborHead(6, tag)) + cborHead(2, text.length) + text;
}

const floatView = new DataView(new ArrayBuffer(8));

function numberCbor(value: number): string {
  if (value === value >>> 0 && 1 / value > 0) return cborHead(0, value);
  if (value < 0 && value >= -(2 ** 31) && Number.isInteger(value)) return cborHead(1, -1 - value);
  floatView.setFloat64(0, value);
  return `\xfb${u32(floatView.getUint32(0))}${u32(floatView.getUint32(4))}`;
}

function bigintCbor(value: bigint): string {
  const hex = (value < 0n ? -1n - value : value).toString(16);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  let bytes = "";
  for (let at = 0; at < even.length; at += 2) bytes += String.fromCharCode(Number.parseInt(even.slice(at, at + 2), 16));
  return cborHead(6, value < 0n ? TAG_NEGATIVE_BIGINT : TAG_BIGINT) + cborHead(2, bytes.length) + bytes;
}

function textCbor(text: string): string {
  const bytes = toBytes(text);
  return cborHead(3, bytes.length) + bytes;
}

function cborHead(major: number, value: number): string {
  const kind = major << 5;
  if (value < 24) return String.fromCharCode(kind | value);
  if (value < 2 ** 8) return String.fromCharCode(kind | 24, value);
  if (value < 2 ** 16) return String.fromCharCode(kind | 25) + u16(value);
  return String.fromCharCode(kind | 26) + u32(value);
}

/** Takes nothing for granted: gateways read with it what isolates have written. */
class CborReader {
  readonly #text: string;
  #at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  all(): unknown {
    const value = this.#value(0);
    if (this.#at !== this.#text.length) throw new RangeError("something follows the CBOR of a state value");
    return value;
  }

  #value(level: number): unknown {
    if (level > 2 * LEVELS_MAX) throw new RangeError("the CBOR of a state value is too deep");
    const first = this.#text.charCodeAt(this.#skip(1));
    if (first === 0xfb) return this.#float();
    const simple = [false, true, null, undefined][first - 0xf4];
    if (first >= 0xf4 && first <= 0xf7) return simple;
    const size = this.#size(first & 31);
    switch (first >> 5) {
      case 0:
        return size;
      case 1:
        return -1 - size;
      case 2:
        return bytesOf(this.#bytes(size));
      case 3:
        return fromBytes(this.#bytes(size));
      case 4:
        return this.#list(size, level + 1);
      case 5:
        return this.#object(size, level + 1);
      case 6:
        return this.#tagged(size, level + 1);
      default:
        throw new RangeError("the CBOR of a state value has something that is not written there");
    }
  }

  #tagged(tag: number, level: number): unknown {
    if (tag === TAG_MAP) return this.#map(level);
    const value = this.#value(level);
    if (tag === TAG_SET && Array.isArray(value)) return new Set(value);
    if (tag === TAG_DATE && typeof value === "number") return new Date(Math.round(value * 1_000));
    if (tag === TAG_TEXT_DATE && typeof value === "string") return new Date(value);
    if (value instanceof Uint8Array) {
      if (tag === TAG_BIGINT) return bigintOf(value);
      if (tag === TAG_NEGATIVE_BIGINT) return -1n - bigintOf(value);
      const type = ARRAYS.find(([known]) => known === tag)?.[1];
      if (type !== undefined) return new type(value.slice().buffer);
    }
    throw new RangeError(`the CBOR of a state value has a tag ${tag} that is not written there`);
  }

  #list(count: number, level: number): unknown[] {
    this.#counted(count);
    const list: unknown[] = [];
    for (let i = 0; i < count; i++) list.push(this.#value(level));
    return list;
  }

  #object(count: number, level: number): object {
    this.#counted(2 * count);
    const entries: [string, unknown][] = [];
    for (let i = 0; i < count; i++) entries.push([String(this.#value(level)), this.#value(level)]);
    return Object.fromEntries(entries);
  }

  #map(level: number): Map<unknown, unknown> {
    const first = this.#text.charCodeAt(this.#skip(1));
    if (first >> 5 !== 5) throw new RangeError("the CBOR of a state value has a map that is none");
    const count = this.#size(first & 31);
    this.#counted(2 * count);
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < count; i++) map.set(this.#value(level), this.#value(level));
    return map;
  }

  #size(kind: number): number {
    if (kind < 24) return kind;
    if (kind === 24) return this.#text.charCodeAt(this.#skip(1));
    if (kind === 25) return readU16(this.#text, this.#skip(2));
    if (kind === 26) return readU32(this.#text, this.#skip(4));
    throw new RangeError("the CBOR of a state value has a length that is not written there");
  }

  #float(): number {
    floatView.setUint32(0, readU32(this.#text, this.#skip(4)));
    floatView.setUint32(4, readU32(this.#text, this.#skip(4)));
    return floatView.getFloat64(0);
  }

  /** Each element has at least one byte. */
  #counted(count: number): void {
    if (count > this.#text.length - this.#at) throw new RangeError("the CBOR of a state value is cut short");
  }

  #bytes(length: number): string {
    const start = this.#skip(length);
    return this.#text.slice(start, this.#at);
  }

  #skip(length: number): number {
    const start = this.#at;
    this.#at = start + length;
    if (this.#at > this.#text.length) throw new RangeError("the CBOR of a state value is cut short");
    return start;
  }
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function bigintOf(bytes: Uint8Array): bigint {
  let hex = "0x0";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return BigInt(hex);
}
