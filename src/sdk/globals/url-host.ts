import { TextDecoder } from "./text-decoder.ts";
import { ENCODED, percentDecode, percentEncode } from "./url-encoding.ts";
import { toPunycode } from "./punycode.ts";

// oxlint-disable-next-line no-control-regex -- the standard names these characters by their codes
const FORBIDDEN = /[\0\t\n\r #/:<>?@[\\\]^|]/;
// oxlint-disable-next-line no-control-regex -- the standard names these characters by their codes
const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;

/** The host parser of the URL standard. Undefined when there is no such host. */
export function parseHost(text: string, special: boolean): string | undefined {
  if (text.startsWith("[")) return text.endsWith("]") ? ipv6(text.slice(1, -1)) : undefined;
  if (!special) return FORBIDDEN.test(text) ? undefined : percentEncode(text, ENCODED.control);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const domain = toAscii(percentDecode(text, (bytes) => decoder.decode(bytes)));
  if (domain === undefined || domain === "" || FORBIDDEN_DOMAIN.test(domain)) return undefined;
  return endsInNumber(domain) ? ipv4(domain) : domain;
}

/**
 * Close to UTS #46, whose tables would be larger than everything else here: compatibility forms and capitals become what they stand for, and
 * controls, spaces, unassigned and private characters are refused.
 */
function toAscii(domain: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- the standard names these characters by their codes
  if (/^[\0-\x7f]*$/.test(domain)) return domain.toLowerCase();
  const mapped = domain
    .replace(/[\u{ad}\u{200b}\u{2060}\u{feff}]|[\u{fe00}-\u{fe0f}]/gu, "")
    .normalize("NFKC")
    .toLowerCase()
    .normalize("NFC")
    .replace(/[\u3002]/g, ".");
  if (/[\p{C}\p{Z}\ufffd]/u.test(mapped)) return undefined;
  const labels = mapped.split(".");
  if (labels.some((label) => /^\p{M}/u.test(label))) return undefined;
  // oxlint-disable-next-line no-control-regex -- the standard names these characters by their codes
  return labels.map((label) => (/^[\0-\x7f]*$/.test(label) ? label : `xn--${toPunycode(label)}`)).join(".");
}

function endsInNumber(domain: string): boolean {
  const parts = partsOf(domain);
  return /^(?:\d+|0x[\da-f]*)$/.test(parts.at(-1) ?? "");
}

function partsOf(domain: string): string[] {
  const parts = domain.split(".");
  return parts.length > 1 && parts.at(-1) === "" ? parts.slice(0, -1) : parts;
}

function ipv4(domain: string): string | undefined {
  const numbers = partsOf(domain).map(numberOf);
  const last = numbers.pop();
  if (last === undefined || numbers.length > 3) return undefined;
  let address = last < 256 ** (4 - numbers.length) ? last : undefined;
  numbers.forEach((number, index) => {
    address = number === undefined || number > 255 || address === undefined ? undefined : address + number * 256 ** (3 - index);
  });
  if (address === undefined) return undefined;
  const found = address;
  return [3, 2, 1, 0].map((power) => Math.floor(found / 256 ** power) % 256).join(".");
}

function numberOf(part: string): number | undefined {
  if (/^0x[\da-f]*$/.test(part)) return part === "0x" ? 0 : Number(part);
  if (/^0[0-7]*$/.test(part)) return Number.parseInt(part, 8);
  return /^[1-9]\d*$/.test(part) ? Number(part) : undefined;
}

function ipv6(text: string): string | undefined {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [, head = "", ...digits] = dotted;
    if (digits.some((digit) => !/^(?:0|[1-9]\d{0,2})$/.test(digit) || Number(digit) > 255)) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = digits.map(Number);
    return ipv6(`${head}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`);
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [before = [], after = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - before.length - after.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  if ([...before, ...after].some((piece) => !/^[\da-f]{1,4}$/i.test(piece))) return undefined;
  const pieces = [...before, ...Array.from({ length: missing }, () => "0"), ...after].map((piece) => Number.parseInt(piece, 16));
  return `[${shortened(pieces)}]`;
}

/** The first longest run of zeros, if it is more than one, becomes `::`. */
function shortened(pieces: readonly number[]): string {
  let [start, length] = [0, 1];
  for (let at = 0; at < pieces.length; at++) {
    let end = at;
    while (pieces[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
  }
  const text = (from: number, to: number): string =>
    pieces
      .slice(from, to)
      .map((piece) => piece.toString(16))
      .join(":");
  return length === 1 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}
