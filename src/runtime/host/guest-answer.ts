import { toBytes, u16, u32 } from "./guest-codec.ts";
import { jsonOf, payloadBytes } from "./guest-values.ts";

/** What a handler returns for a request becomes this; the body is bytes as characters. */
interface HandlerAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

const ANSWER_KEYS = ["status", "headers", "body"];
const ANSWER_HEADERS_MAX = 64;
const ANSWER_HEADERS_CHARS_MAX = 16 * 1024;
const ANSWER_HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Those that say how the answer is sent are the gateway's. */
const ANSWER_OWN_HEADERS = /^(connection|content-length|date|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/**
 * Nothing is 204. An object of nothing but `status`, `headers` and `body` says what they are, anything else is the body of a 200. A body that is
 * text or bytes is sent as it is, any other as JSON.
 */
export function answerOf(value: unknown): HandlerAnswer {
  if (value === undefined) return { status: 204, headers: [], body: "" };
  const isWhole =
    typeof value === "object" &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.keys(value).length > 0 &&
    Object.keys(value).every((key) => ANSWER_KEYS.includes(key));
  const { status, headers = {}, body } = (isWhole ? value : { body: value }) as { status?: unknown; headers?: object; body?: unknown };
  const code = status ?? (body === undefined ? 204 : 200);
  if (typeof code !== "number" || !Number.isInteger(code) || code < 200 || code > 599) {
    throw new TypeError(`the status of an answer is a whole number from 200 to 599, not ${typeof code === "number" ? code : typeof code}`);
  }
  const isEmpty = body === undefined || code === 204 || code === 304;
  const list = answerHeaders(headers);
  const type =
    typeof body === "string" ? "text/plain; charset=utf-8" : isBinaryBody(body) ? "application/octet-stream" : "application/json";
  if (!isEmpty && !list.some(([name]) => name === "content-type")) list.push(["content-type", type]);
  return { status: code, headers: list, body: isEmpty ? "" : payloadBytes(body) };
}

function isBinaryBody(value: unknown): boolean {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function answerHeaders(headers: object): [string, string][] {
  const list = Object.entries(headers).flatMap(([name, value]: [string, unknown]) =>
    (Array.isArray(value) ? (value as unknown[]) : [value]).map((each): [string, string] => [name.toLowerCase(), String(each)]),
  );
  for (const [name, value] of list) {
    if (!ANSWER_HEADER_NAME.test(name) || ANSWER_OWN_HEADERS.test(name))
      throw new TypeError(`"${name}" is not a header that an answer may have`);
    if (/[^\t\x20-\x7e]/.test(value)) throw new TypeError(`the value of the header "${name}" is not plain text`);
  }
  if (list.length > ANSWER_HEADERS_MAX || jsonOf(list).length > ANSWER_HEADERS_CHARS_MAX) {
    throw new TypeError(`an answer has at most ${ANSWER_HEADERS_MAX} headers and ${ANSWER_HEADERS_CHARS_MAX} characters of them`);
  }
  return list;
}

/** As it stands in a result. */
export function encodeAnswer(value: unknown): string {
  const { status, headers, body } = answerOf(value);
  const list = toBytes(jsonOf(headers));
  return u16(status) + u32(list.length) + list + u32(body.length) + body;
}
