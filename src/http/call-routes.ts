import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode, StatusCode } from "hono/utils/http-status";
import { type ErrorCode, ERRORS, MillraceError } from "../core/errors.ts";
import type { CallRequest, CallResult } from "../core/http-call.ts";
import { body } from "./failure.ts";
import type { FunctionCalls } from "./parts.ts";

/** What a function's error means to a caller; every other one is 500. */
const STATUS: Readonly<Record<string, ContentfulStatusCode>> = {
  PAYLOAD_INVALID: 400,
  CALL_DUPLICATE: 409,
  LIMIT_WALL: 504,
  LIMIT_CPU: 504,
  HOST_STARVED: 503,
};
/** They speak for a person, and a message stays on disk. */
const SECRET_HEADERS = new Set(["authorization", "proxy-authorization", "cookie"]);
/** Nobody reads it. */
const CALLER_GONE = 499;
const RETRY_AFTER_S = "5";
/** The rest of the body is not read, so the connection cannot be used again. */
const TOO_LARGE = { status: 413, headers: { connection: "close" } };

/** The routes of functions, below `/fn`. */
export function callRoutes(app: Hono, calls: FunctionCalls, payloadBytesMax: number): void {
  const tooLarge = (): Response => Response.json(body("REQUEST_INVALID", `the body has more than ${payloadBytesMax} bytes`), TOO_LARGE);
  app.all("/fn/*", bodyLimit({ maxSize: payloadBytesMax, onError: tooLarge }), (c) => answer(c, calls));
}

async function answer(c: Context, calls: FunctionCalls): Promise<Response> {
  refuseForeignPages(c);
  const { pathname } = new URL(c.req.url);
  const segments = decoded(pathname);
  const target = calls.find(c.req.method, segments);
  if (target.kind === "none") {
    const near = target.nearest === undefined ? "" : `; did you mean "/fn${target.nearest}"?`;
    throw new MillraceError("NOT_FOUND", `no function answers ${pathname}${near}`);
  }
  if (target.kind === "method") {
    c.header("allow", target.allow.join(", "));
    return c.json(body("METHOD_UNKNOWN", `${pathname} answers ${target.allow.join(", ")}, not ${c.req.method}`), 405);
  }
  const request = await requestOf(c, segments);
  const { signal } = c.req.raw;
  const reply = await calls.call(target, request, signal).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (reply === undefined) return new Response(null, { status: CALLER_GONE });
  const { id, result } = reply;
  c.header("x-millrace-message", id);
  return result === undefined ? c.json({ id }, 202) : resultResponse(c, id, result);
}

/** A page of another site that a browser on this machine shows could otherwise call functions here. */
function refuseForeignPages(c: Context): void {
  const origin = c.req.header("origin");
  const site = c.req.header("sec-fetch-site");
  const isForeign = origin === undefined ? site === "cross-site" : !URL.canParse(origin) || new URL(origin).host !== c.req.header("host");
  if (isForeign) throw new MillraceError("CALL_REFUSED", `a page of ${origin ?? "another site"} may not call functions of this gateway`);
}

function decoded(pathname: string): readonly string[] {
  try {
    return pathname
      .slice("/fn/".length)
      .split("/")
      .map((segment) => decodeURIComponent(segment));
  } catch (cause) {
    throw new MillraceError("REQUEST_INVALID", `the path ${pathname} is not percent-encoded UTF-8`, { cause });
  }
}

async function requestOf(c: Context, segments: readonly string[]): Promise<CallRequest> {
  const { pathname, searchParams } = new URL(c.req.url);
  const values = Map.groupBy(searchParams, ([name]) => name);
  const query = Object.fromEntries([...values].map(([name, [first, ...more]]) => [name, valueOf(first?.[1], more)]));
  const headers = Object.fromEntries([...c.req.raw.headers].filter(([name]) => !SECRET_HEADERS.has(name)));
  return {
    details: { method: c.req.method, path: pathname.slice("/fn".length), query, headers },
    segments,
    contentType: c.req.header("content-type"),
    body: new Uint8Array(await c.req.arrayBuffer()),
  };
}

/** A list for what is given more than once. */
function valueOf(first = "", more: readonly (readonly [string, string])[]): string | string[] {
  return more.length === 0 ? first : [first, ...more.map(([, value]) => value)];
}

function resultResponse(c: Context, id: string, result: CallResult): Response {
  if (result.kind === "answer") {
    const { status, headers, body: bytes } = result.answer;
    for (const [name, value] of headers) c.header(name, value, { append: true });
    const isEmpty = status === 204 || status === 304 || status === 205;
    return isEmpty ? c.body(null, status as StatusCode) : c.body(new Uint8Array(bytes), status as ContentfulStatusCode);
  }
  const { code, message } = result;
  const hint = Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : "";
  return c.json({ error: { code, message, hint, id } }, STATUS[code] ?? 500);
}

/** Whether a caller had better come again, and when. */
export function retryAfter(code: ErrorCode): Readonly<Record<string, string>> {
  return code === "JOURNAL_FULL" || code === "TOO_MANY_CALLS" || code === "JOURNAL_CLOSED" ? { "retry-after": RETRY_AFTER_S } : {};
}
