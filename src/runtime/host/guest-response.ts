import { fromBytes, toBytes } from "./guest-codec.ts";
import { Headers } from "./guest-headers.ts";
import { jsonOf, payloadBytes } from "./guest-values.ts";

/** What a fetch was answered with, as the gateway tells it. */
export interface ReceivedHead {
  readonly status: number;
  readonly statusText: string;
  readonly url: string;
  readonly redirected: boolean;
  readonly headers: readonly (readonly [string, string])[];
}

interface ResponseOptions {
  readonly status?: unknown;
  readonly statusText?: unknown;
  readonly headers?: unknown;
}

const NO_BODY = [204, 205, 304];

let makeReceived: (head: ReceivedHead, bytes: string) => Response;

/** `Response` of the Fetch standard, with its body as a whole: no streams, blobs and forms. */
export class Response {
  readonly type: string = "default";
  readonly statusText: string;
  readonly headers: Headers;
  #status: number;
  #url = "";
  #redirected = false;
  /** One character for each byte. */
  #bytes: string;
  #used = false;

  static {
    makeReceived = ({ status, statusText, headers, url, redirected }: ReceivedHead, bytes: string): Response => {
      const response = new Response(undefined, { statusText, headers });
      response.#status = status; // Servers may have others than those that can be made here.
      response.#url = url;
      response.#redirected = redirected;
      response.#bytes = bytes;
      return response;
    };
  }

  constructor(body?: unknown, init: ResponseOptions = {}) {
    const { bytes, type } = bodyOf(body);
    const status = Number(init.status ?? 200);
    if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError("the status of a response is 200 to 599");
    if (NO_BODY.includes(status) && bytes !== undefined) throw new TypeError(`a response with status ${status} has no body`);
    this.#status = status;
    this.statusText = textOf(init.statusText ?? "");
    this.headers = new Headers(init.headers);
    if (type !== "" && !this.headers.has("content-type")) this.headers.set("content-type", type);
    this.#bytes = bytes ?? "";
  }

  static json(data: unknown, init: ResponseOptions = {}): Response {
    const response = new Response(jsonOf(data), init);
    if (!new Headers(init.headers).has("content-type")) response.headers.set("content-type", "application/json");
    return response;
  }

  get status(): number {
    return this.#status;
  }
  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299;
  }
  get url(): string {
    return this.#url;
  }
  get redirected(): boolean {
    return this.#redirected;
  }
  get bodyUsed(): boolean {
    return this.#used;
  }

  async text(): Promise<string> {
    return fromBytes(this.#read()).replace(/^\ufeff/, "");
  }
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }
  async bytes(): Promise<Uint8Array> {
    return bytesOfText(this.#read());
  }
  async arrayBuffer(): Promise<ArrayBufferLike> {
    return bytesOfText(this.#read()).buffer;
  }

  clone(): Response {
    if (this.#used) throw new TypeError("the body of the response has been read");
    const { status, statusText, url, redirected } = this;
    return makeReceived({ status, statusText, url, redirected, headers: [...this.headers] }, this.#bytes);
  }

  #read(): string {
    if (this.#used) throw new TypeError("the body of the response has been read");
    this.#used = true;
    return this.#bytes;
  }
}

export function receivedResponse(head: ReceivedHead, bytes: string): Response {
  return makeReceived(head, bytes);
}

/** A body as bytes, one character each, and the content type that goes with it. */
export function bodyOf(body: unknown): { readonly bytes: string | undefined; readonly type: string } {
  if (body === undefined || body === null) return { bytes: undefined, type: "" };
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { bytes: payloadBytes(body), type: "" };
  if (isSearchParams(body)) return { bytes: toBytes(textOf(body)), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  if (typeof body === "object") throw new TypeError("a body is text, bytes or URLSearchParams; write an object with JSON.stringify");
  return { bytes: toBytes(textOf(body)), type: "text/plain;charset=UTF-8" };
}

/** Its class comes with the bundle of the function, where that names it. */
function isSearchParams(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  return ["append", "getAll", "sort", "toString"].every((name) => typeof Reflect.get(body, name) === "function");
}

function textOf(value: unknown): string {
  return String(value);
}

function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
