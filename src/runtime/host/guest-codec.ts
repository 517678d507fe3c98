/** Bytes and text inside an isolate, which has neither Buffer nor TextDecoder. See guest.ts for how this module gets there. */
const ASCII = /^[^\u0080-\uffff]*$/;

/** Text → one character per byte of its UTF-8. */
export function toBytes(text: string): string {
  return ASCII.test(text) ? text : unescape(encodeURIComponent(text.toWellFormed()));
}

/** The reverse of `toBytes`; what is not UTF-8 becomes U+FFFD, as in a TextDecoder. */
export function fromBytes(bytes: string): string {
  if (ASCII.test(bytes)) return bytes;
  try {
    return decodeURIComponent(escape(bytes));
  } catch {
    return bytes.replace(/[\x80-\xff]+/g, (run) => {
      try {
        return decodeURIComponent(escape(run));
      } catch {
        return "\ufffd";
      }
    });
  }
}

export function u16(value: number): string {
  return String.fromCharCode((value >>> 8) & 255, value & 255);
}

export function u32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

export function u48(value: number): string {
  return u16(Math.floor(value / 2 ** 32)) + u32(value >>> 0);
}

export function readU16(text: string, at: number): number {
  return (text.charCodeAt(at) << 8) | text.charCodeAt(at + 1);
}

export function readU32(text: string, at: number): number {
  return readU16(text, at) * 65_536 + readU16(text, at + 2);
}

export function readU48(text: string, at: number): number {
  return readU16(text, at) * 2 ** 32 + readU32(text, at + 2);
}
