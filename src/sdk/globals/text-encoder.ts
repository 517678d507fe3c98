/** `TextEncoder` of the Encoding standard: text → UTF-8. What is no character (a lone surrogate) becomes U+FFFD. */
export class TextEncoder {
  get encoding(): string {
    return "utf-8";
  }

  encode(input: unknown = ""): Uint8Array {
    const text = String(input);
    const bytes = new Uint8Array(utf8Length(text));
    this.encodeInto(text, bytes);
    return bytes;
  }

  /** Writes as many whole characters as fit. `read` counts UTF-16 units, `written` bytes. */
  encodeInto(input: unknown, destination: Uint8Array): { read: number; written: number } {
    const text = String(input);
    let written = 0;
    let read = 0;
    while (read < text.length) {
      const point = pointAt(text, read);
      const bytes = lengthOf(point);
      if (written + bytes > destination.length) break;
      write(point, destination, written);
      written += bytes;
      read += point > 0xffff ? 2 : 1;
    }
    return { read, written };
  }
}

function pointAt(text: string, at: number): number {
  const point = text.codePointAt(at) ?? 0;
  return point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
}

function lengthOf(point: number): number {
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point > 0xffff ? 4 : 3;
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const point = pointAt(text, at);
    bytes += lengthOf(point);
    if (point > 0xffff) at++;
  }
  return bytes;
}

function write(point: number, bytes: Uint8Array, at: number): void {
  const length = lengthOf(point);
  if (length === 1) {
    bytes[at] = point;
    return;
  }
  bytes[at] = ((0xf00 >> length) & 0xff) | (point >> (6 * (length - 1)));
  for (let i = 1; i < length; i++) bytes[at + i] = 0x80 | ((point >> (6 * (length - 1 - i))) & 0x3f);
}
