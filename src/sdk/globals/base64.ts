import { DOMException } from "./dom-exception.ts";

const CHUNK = 8_192;

/** `btoa` of the HTML standard. @throws DOMException InvalidCharacterError when a character is beyond U+00FF */
export function btoa(data: unknown): string {
  const text = String(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 255)
      throw new DOMException("The text has characters beyond U+00FF; encode it with TextEncoder first", "InvalidCharacterError");
    bytes[at] = code;
  }
  return bytes.toBase64();
}

/** `atob` of the HTML standard. @throws DOMException InvalidCharacterError when it is not base64 */
export function atob(data: unknown): string {
  const bytes = bytesOf(String(data));
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return text;
}

function bytesOf(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    throw new DOMException("The text is not base64", "InvalidCharacterError");
  }
}
