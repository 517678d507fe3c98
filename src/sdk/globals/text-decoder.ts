const LABELS: Readonly<Record<string, readonly string[]>> = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"],
  "utf-16le": ["utf-16le", "utf-16", "ucs-2", "unicode", "csunicode", "iso-10646-ucs-2", "unicodefeff"],
  "windows-1252": [
    "windows-1252",
    "cp1252",
    "x-cp1252",
    "ascii",
    "us-ascii",
    "ansi_x3.4-1968",
    "latin1",
    "l1",
    "iso-8859-1",
    "iso8859-1",
    "iso88591",
  ],
};
/** What windows-1252 has from 0x80 to 0x9F. */
const WINDOWS = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";
const BYTE_ORDER_MARK = 0xfeff;
/** In the place of a code point: the bytes are none. */
const BROKEN = -1;
/** More than a call may have arguments. */
const UNITS_MAX = 8_192;

/** Takes bytes one by one, and gives code points, or BROKEN, to `emit`. */
interface Decoder {
  take(byte: number, emit: (point: number) => void): void;
  end(emit: (point: number) => void): void;
}

export interface TextDecoderOptions {
  readonly fatal?: boolean;
  readonly ignoreBOM?: boolean;
}

/** `TextDecoder` of the Encoding standard for UTF-8, UTF-16LE and windows-1252, which is what the labels `ascii` and `latin1` stand for. */
export class TextDecoder {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  #decoder: Decoder;
  #started = false;

  /** @throws RangeError for another encoding */
  constructor(label: unknown = "utf-8", { fatal = false, ignoreBOM = false }: TextDecoderOptions = {}) {
    const wanted = String(label).trim().toLowerCase();
    const found = Object.entries(LABELS).find(([, labels]) => labels.includes(wanted));
    if (found === undefined) throw new RangeError(`The encoding "${wanted}" is not supported; there are ${Object.keys(LABELS).join(", ")}`);
    this.encoding = found[0];
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
    this.#decoder = decoderOf(this.encoding);
  }

  /** @throws TypeError when `fatal` is set and the bytes are not in the encoding */
  decode(input?: ArrayBuffer | ArrayBufferView, { stream = false }: { readonly stream?: boolean } = {}): string {
    const sink = new Sink(this.fatal, this.#started || this.ignoreBOM || this.encoding === "windows-1252");
    let finished = false;
    try {
      for (const byte of bytesOf(input)) this.#decoder.take(byte, sink.emit);
      if (!stream) this.#decoder.end(sink.emit);
      finished = stream;
    } finally {
      if (!finished) this.#decoder = decoderOf(this.encoding);
      this.#started = finished && (this.#started || sink.started);
    }
    return sink.text();
  }
}

class Sink {
  #text = "";
  #units: number[] = [];
  readonly #fatal: boolean;
  started: boolean;
  readonly emit: (point: number) => void;

  /** With `started` a byte order mark is text like any other. */
  constructor(fatal: boolean, started: boolean) {
    this.#fatal = fatal;
    this.started = started;
    this.emit = (point) => this.#take(point);
  }

  #take(point: number): void {
    if (point === BROKEN && this.#fatal) throw new TypeError("The encoded data was not valid for encoding");
    const first = !this.started;
    this.started = true;
    if (first && point === BYTE_ORDER_MARK) return;
    const shown = point === BROKEN ? 0xfffd : point;
    if (shown > 0xffff) this.#units.push(0xd7c0 + (shown >> 10), 0xdc00 | (shown & 0x3ff));
    else this.#units.push(shown);
    if (this.#units.length >= UNITS_MAX) this.#flush();
  }

  #flush(): void {
    this.#text += String.fromCharCode(...this.#units);
    this.#units = [];
  }

  text(): string {
    this.#flush();
    return this.#text;
  }
}

function bytesOf(input: ArrayBuffer | ArrayBufferView | undefined): Uint8Array {
  if (input === undefined) return new Uint8Array();
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (input instanceof ArrayBuffer) return new Uint8Array(input);
  throw new TypeError("TextDecoder decodes an ArrayBuffer or a view of one");
}

function decoderOf(encoding: string): Decoder {
  if (encoding === "utf-8") return new Utf8();
  if (encoding === "utf-16le") return new Utf16();
  return { take: (byte, emit) => emit(byte < 0x80 || byte > 0x9f ? byte : WINDOWS.charCodeAt(byte - 0x80)), end: () => undefined };
}

/** https://encoding.spec.whatwg.org/#utf-8-decoder */
class Utf8 implements Decoder {
  #missing = 0;
  #point = 0;
  #lower = 0x80;
  #upper = 0xbf;

  take(byte: number, emit: (point: number) => void): void {
    if (this.#missing === 0) {
      this.#begin(byte, emit);
    } else if (byte < this.#lower || byte > this.#upper) {
      this.end(emit);
      this.#begin(byte, emit);
    } else {
      this.#lower = 0x80;
      this.#upper = 0xbf;
      this.#point = (this.#point << 6) | (byte & 0x3f);
      if (--this.#missing === 0) emit(this.#point);
    }
  }

  #begin(byte: number, emit: (point: number) => void): void {
    if (byte < 0x80) return emit(byte);
    if (byte < 0xc2 || byte > 0xf4) return emit(BROKEN);
    if (byte < 0xe0) this.#missing = 1;
    else this.#missing = byte < 0xf0 ? 2 : 3;
    if (byte === 0xe0) this.#lower = 0xa0;
    if (byte === 0xed) this.#upper = 0x9f;
    if (byte === 0xf0) this.#lower = 0x90;
    if (byte === 0xf4) this.#upper = 0x8f;
    this.#point = byte & (0x3f >> this.#missing);
  }

  end(emit: (point: number) => void): void {
    const broken = this.#missing > 0;
    this.#missing = 0;
    this.#lower = 0x80;
    this.#upper = 0xbf;
    if (broken) emit(BROKEN);
  }
}

/** https://encoding.spec.whatwg.org/#shared-utf-16-decoder */
class Utf16 implements Decoder {
  #low: number | undefined;
  #lead: number | undefined;

  take(byte: number, emit: (point: number) => void): void {
    if (this.#low === undefined) {
      this.#low = byte;
      return;
    }
    const unit = (byte << 8) | this.#low;
    this.#low = undefined;
    const trail = unit >= 0xdc00 && unit <= 0xdfff;
    const lead = this.#lead;
    this.#lead = undefined;
    if (lead !== undefined && trail) return emit(0x10000 + ((lead & 0x3ff) << 10) + (unit & 0x3ff));
    if (lead !== undefined) emit(BROKEN);
    if (unit >= 0xd800 && unit <= 0xdbff) this.#lead = unit;
    else emit(trail ? BROKEN : unit);
  }

  end(emit: (point: number) => void): void {
    const broken = this.#low !== undefined || this.#lead !== undefined;
    this.#low = undefined;
    this.#lead = undefined;
    if (broken) emit(BROKEN);
  }
}
