import { CALL_FETCH } from "./guest-call-kinds.ts";
import { type CallSignal, calls } from "./guest-calls.ts";
import { printable } from "./guest-effects.ts";
import { Headers } from "./guest-headers.ts";
import { bodyOf, type ReceivedHead, receivedResponse, Response } from "./guest-response.ts";
import { randomHex } from "./guest-random.ts";
import type { GuestTrace } from "./guest-types.ts";
import { LimitError } from "./guest-values.ts";

/** Of one message. */
const FETCHES_MAX = 100;
const URL_CHARS_MAX = 8 * 1024;
/** Names and values of all headers of a request. */
const HEADER_CHARS_MAX = 16 * 1024;
const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const SPAN_BYTES = 8;
const REDIRECTS = ["follow", "manual", "error"];

interface FetchInit {
  readonly method?: unknown;
  readonly headers?: unknown;
  readonly body?: unknown;
  readonly redirect?: unknown;
  readonly signal?: CallSignal | null;
}

/** `fetch` of the Fetch standard, done by the gateway. */
export async function fetchThrough(input: unknown, init: FetchInit | null = {}): Promise<Response> {
  calls.fetched(FETCHES_MAX);
  const like: FetchInit & { readonly url?: unknown } = isRequestLike(input) ? input : {};
  const given: FetchInit = { ...pick(like), ...pick(init ?? {}) };
  const url = String(like.url ?? input);
  if (url.length > URL_CHARS_MAX) throw new LimitError("LIMIT_FETCH", `a URL has at most ${URL_CHARS_MAX} characters, not ${url.length}`);
  const method = methodOf(given.method ?? "GET");
  const { bytes, type } = bodyOf(given.body);
  if (bytes !== undefined && (method === "GET" || method === "HEAD")) throw new TypeError(`a ${method} request has no body`);
  const max = calls.bodyBytesMax;
  if ((bytes?.length ?? 0) > max) {
    throw new LimitError("LIMIT_FETCH", `the body of a request has ${bytes?.length} bytes, at most ${max} are allowed (limits.fetch)`);
  }
  const redirect = given.redirect ?? "follow";
  if (!REDIRECTS.includes(redirect as string))
    throw new TypeError(`redirect is one of ${REDIRECTS.join(", ")}, not ${printable(redirect)}`);
  const head = { url, method, redirect, headers: headersOf(given.headers, type) };
  const answer = await calls.ask({ what: CALL_FETCH, head, body: bytes ?? "", signal: given.signal ?? undefined });
  return receivedResponse(answer.head as ReceivedHead, answer.body);
}

/** A URL object has no `url`. */
function isRequestLike(input: unknown): input is FetchInit & { readonly url: unknown } {
  return typeof input === "object" && input !== null && "url" in input;
}

/** What was given, also where it is inherited. */
function pick({ method, headers, body, redirect, signal }: FetchInit): FetchInit {
  const all = { method, headers, body, redirect, signal };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== null));
}

function methodOf(method: unknown): string {
  const name = String(method).toUpperCase();
  if (!METHODS.includes(name)) throw new TypeError(`the method is one of ${METHODS.join(", ")}, not ${printable(method)}`);
  return name;
}

function headersOf(init: unknown, type: string): [string, string][] {
  const headers = new Headers(init);
  if (type !== "" && !headers.has("content-type")) headers.set("content-type", type);
  if (calls.trace !== undefined && !headers.has("traceparent")) passOn(calls.trace, headers);
  const all = [...headers];
  const chars = all.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (chars > HEADER_CHARS_MAX) throw new LimitError("LIMIT_FETCH", `the headers of a request have at most ${HEADER_CHARS_MAX} characters`);
  return all;
}

/** The request belongs to the trace of the message, as a child of its handling with an id of its own (W3C Trace Context, section 3.2.2.4). */
function passOn({ traceparent, tracestate }: GuestTrace, headers: Headers): void {
  const [version = "", traceId = "", , flags = ""] = traceparent.split("-");
  headers.set("traceparent", `${version}-${traceId}-${randomHex(SPAN_BYTES)}-${flags}`);
  if (tracestate !== undefined) headers.set("tracestate", tracestate);
}

/** `fetch` and what belongs to it, as global functions. */
export function installFetch(): void {
  for (const [name, value] of Object.entries({ fetch: fetchThrough, Headers, Response }))
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
