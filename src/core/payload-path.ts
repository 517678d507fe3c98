import { CborReader } from "./cbor-reader.ts";
import type { Message } from "./message.ts";

type Keyed = Pick<Message, "payload" | "properties">;

/** Bytes of a payload in which a key is looked for. What devices send is smaller, and others must not have the gateway read for long. */
export const KEYED_BYTES_MAX = 256 * 1024;
const KEY_CHARS_MAX = 1_024;

/** `data.` and a path of names into a payload. */
export const PAYLOAD_PATH = /^data(\.[^.\s]+)+$/;

/** The names in a path such as `data.header.id`; undefined when it is none. */
export function payloadPath(text: string | undefined): readonly string[] | undefined {
  return text === undefined || !PAYLOAD_PATH.test(text) ? undefined : text.split(".").slice(1);
}

/**
 * What stands under a path in the payload of a message, JSON or (content type `application/cbor`) CBOR, as the key of that message: a text, a number or a truth
 * value as text. The payload may be anything, also something meant to do harm.
 */
export function payloadKey(
  { payload, properties }: Keyed,
  path: readonly string[],
): { readonly key: string } | { readonly problem: string } {
  if (payload.length > KEYED_BYTES_MAX)
    return { problem: `the payload has ${payload.length} bytes; a key is looked for in ${KEYED_BYTES_MAX} at most` };
  const isCbor = properties?.contentType === "application/cbor";
  let value: unknown;
  try {
    value = isCbor ? new CborReader(payload).find(path) : jsonAt(payload, path);
  } catch {
    return { problem: `the payload is no ${isCbor ? "CBOR" : "JSON"}` };
  }
  if (value === undefined || value === null || value === "") return { problem: `the payload has nothing under data.${path.join(".")}` };
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean" && typeof value !== "bigint") {
    return { problem: `data.${path.join(".")} is neither a text nor a number nor a truth value` };
  }
  const key = String(value).toWellFormed();
  if (key.length > KEY_CHARS_MAX)
    return { problem: `data.${path.join(".")} has ${key.length} characters; a key has ${KEY_CHARS_MAX} at most` };
  return key.includes("\0") ? { problem: `data.${path.join(".")} has a NUL character, which no key may have` } : { key };
}

function jsonAt(payload: Uint8Array, path: readonly string[]): unknown {
  let value: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}
