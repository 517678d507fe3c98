/** What the caller of a route would get. */
export interface TestAnswer {
  readonly status: number;
  /** One that is given more than once is a list with commas. */
  readonly headers: Readonly<Record<string, string>>;
  /** As text. */
  readonly body: string;
}

const ANSWER_KEYS = new Set(["status", "headers", "body"]);
const HEADERS = { max: 64, chars: 16 * 1024 };
const OWN_HEADERS = /^(connection|content-length|date|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/** What a gateway would make of it, see runtime/host/guest-answer.ts. @throws TypeError when what a handler returned is no answer */
export function testAnswer(returned: unknown): TestAnswer {
  if (returned === undefined) return { status: 204, headers: {}, body: "" };
  const { status, headers = {}, body } = isWhole(returned) ? returned : { body: returned };
  const code = status ?? (body === undefined ? 204 : 200);
  if (typeof code !== "number" || !Number.isInteger(code) || code < 200 || code > 599) {
    throw new TypeError(`the status of an answer is a whole number from 200 to 599, not ${typeof code === "number" ? code : typeof code}`);
  }
  const list = headerList(headers);
  const isEmpty = body === undefined || code === 204 || code === 304;
  if (!isEmpty && !list.some(([name]) => name === "content-type")) list.push(["content-type", typeOf(body)]);
  const joined = new Map<string, string>();
  for (const [name, value] of list) joined.set(name, joined.has(name) ? `${joined.get(name)}, ${value}` : value);
  return { status: code, headers: Object.fromEntries(joined), body: isEmpty ? "" : textOf(body) };
}

function isWhole(value: unknown): value is { status?: unknown; headers?: object; body?: unknown } {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => ANSWER_KEYS.has(key));
}

function headerList(headers: object): [string, string][] {
  const list = Object.entries(headers).flatMap(([name, value]: [string, unknown]) =>
    (Array.isArray(value) ? value : [value]).map((each: unknown): [string, string] => [name.toLowerCase(), String(each)]),
  );
  for (const [name, value] of list) {
    if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || OWN_HEADERS.test(name)) {
      throw new TypeError(`"${name}" is not a header that an answer may have`);
    }
    if (!/^[\t\x20-\x7e]*$/.test(value)) throw new TypeError(`the value of the header "${name}" is not plain text`);
  }
  if (list.length > HEADERS.max || JSON.stringify(list).length > HEADERS.chars) {
    throw new TypeError(`an answer has at most ${HEADERS.max} headers and ${HEADERS.chars} characters of them`);
  }
  return list;
}

function typeOf(body: unknown): string {
  if (typeof body === "string") return "text/plain; charset=utf-8";
  return body instanceof ArrayBuffer || ArrayBuffer.isView(body) ? "application/octet-stream" : "application/json";
}

function textOf(body: unknown): string {
  if (typeof body === "string") return body;
  if (body instanceof ArrayBuffer) return Buffer.from(body).toString();
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  const json: string | undefined = JSON.stringify(body);
  if (json === undefined) throw new TypeError("the value cannot be written as JSON");
  return json;
}
