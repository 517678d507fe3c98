/** Percent-encode sets of the URL standard: what is encoded besides controls and what is not ASCII. */
export const ENCODED = {
  control: "",
  fragment: ' "<>`',
  query: ' "#<>',
  specialQuery: ` "#<>'`,
  path: ' "#<>?^`{}',
  userinfo: ' "#<>?^`{}/:;=@[\\]|',
} as const;

export function percentEncode(text: string, set: string): string {
  let encoded = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code > 0x7e) encoded += encodeURIComponent(character.toWellFormed());
    else if (code < 0x20 || set.includes(character)) encoded += `%${code.toString(16).toUpperCase().padStart(2, "0")}`;
    else encoded += character;
  }
  return encoded;
}

/** What is no UTF-8 becomes U+FFFD. */
export function percentDecode(text: string, decode: (bytes: Uint8Array) => string): string {
  return text.replace(/(?:%[\da-f]{2})+/gi, (run) => decode(Uint8Array.fromHex(run.replaceAll("%", ""))));
}
