import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode, StatusCode } from "hono/utils/http-status";
import { type ErrorCode, ERRORS, MillraceError } from "../core/errors.ts";
import type { CallRequest, CallResult, CallTarget } from "../core/http-call.ts";
import type { Logger } from "../core/log.ts";
import { BodyTooLarge, readBody } from "./call-body.ts";
import type { CallPlace, CallPlaces } from "./call-places.ts";
import { body, failureOf } from "./failure.ts";
import { boundSending, overSignal } from "./over.ts";
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
/** The caller had better come again, and then. */
const RETRY_AFTER_S = "5";
const BUSY: ReadonlySet<ErrorCode> = new Set(["JOURNAL_FULL", "TOO_MANY_CALLS", "JOURNAL_CLOSED"]);

export interface CallBounds {
  /** One body, in bytes. */
  readonly payloadBytesMax: number;
  readonly places: CallPlaces;
  /** How long a caller may take to send its request, and again to take its answer, in milliseconds. */
  readonly requestTimeoutMs: number;
}

type CallContext = Context<{ Bindings: HttpBindings }>;

interface CallDeps {
  readonly calls: FunctionCalls;
  readonly bounds: CallBounds;
  readonly logger: Logger;
}

/** The routes of functions, below `/fn`. */
export function callRoutes(calls: FunctionCalls, bounds: CallBounds, logger: Logger): Hono<{ Bindings: HttpBindings }> {
  const deps = { calls, bounds, logger };
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.all("/fn/*", async (c) => {
    const over = overSignal(c.env);
    const response = await answer(c, over, deps).catch((error: unknown) => {
      return over.aborted ? new Response(null, { status: CALLER_GONE }) : failed(c, error, deps);
    });
    boundSending(c.env.outgoing, bounds.requestTimeoutMs, over);
    return response;
  });
  return app;
}

async function answer(c: CallContext, over: AbortSignal, deps: CallDeps): Promise<Response> {
  refuseForeignPages(c);
  const { pathname } = new URL(c.req.url);
  const segments = decoded(pathname);
  // HEAD is GET without the body of the answer (RFC 9110, 9.3.2), for the function as well.
  const method = c.req.method === "HEAD" ? "GET" : c.req.method;
  const target = deps.calls.find(method, segments);
  if (target.kind !== "found") return otherwise(c, pathname, target);
  over.throwIfAborted();
  const place = deps.bounds.places.take();
  over.addEventListener("abort", () => place.free());
  const request = await requestOf(c, { method, segments, place, bounds: deps.bounds });
  const { id, result } = await deps.calls.call(target, request, over);
  c.header("x-millrace-message", id);
  return result === undefined ? c.json({ id }, 202) : resultResponse(c, id, result);
}

/** No function has this route, or not for this method. */
function otherwise(c: CallContext, pathname: string, target: Exclude<CallTarget, { readonly kind: "found" }>): Response {
  if (target.kind === "none") {
    const near = target.nearest === undefined ? "" : `; did you mean "/fn${target.nearest}"?`;
    throw new MillraceError("NOT_FOUND", `no function answers ${pathname}${near}`);
  }
  const methods = target.allow.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  c.header("allow", [...methods, "OPTIONS"].join(", "));
  if (c.req.method === "OPTIONS") return c.body(null, 204);
  return c.json(body("METHOD_UNKNOWN", `${pathname} answers ${methods.join(", ")}, not ${c.req.method}`), 405);
}

/** What was not read of the body is thrown away, so the connection cannot be used again. */
function failed(c: CallContext, error: unknown, { logger, bounds }: CallDeps): Response {
  const { incoming } = c.env;
  if (!incoming.complete) c.header("connection", "close");
  if (error instanceof BodyTooLarge) return c.json(body("REQUEST_INVALID", error.message), 413);
  const { status, body: told, bug } = failureOf(error);
  if (bug) logger.error({ err: error, path: c.req.path }, "request failed");
  const { code } = told.error;
  if (code === "REQUEST_TIMEOUT") bounds.places.countLate();
  if (!BUSY.has(code)) return c.json(told, status);
  c.header("retry-after", RETRY_AFTER_S);
  // A full journal is not the caller's doing, and it is not for ever.
  return c.json(told, 503);
}

/** A page of another site that a browser on this machine shows could otherwise call functions here. */
function refuseForeignPages(c: CallContext): void {
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

interface Asked {
  readonly method: string;
  readonly segments: readonly string[];
  readonly place: CallPlace;
  readonly bounds: CallBounds;
}

async function requestOf(c: CallContext, { method, segments, place, bounds }: Asked): Promise<CallRequest> {
  const { pathname, searchParams } = new URL(c.req.url);
  const values = Map.groupBy(searchParams, ([name]) => name);
  const query = Object.fromEntries([...values].map(([name, [first, ...more]]) => [name, valueOf(first?.[1], more)]));
  const headers = Object.fromEntries([...c.req.raw.headers].filter(([name]) => !SECRET_HEADERS.has(name)));
  const { payloadBytesMax: bytesMax, requestTimeoutMs: timeMs } = bounds;
  return {
    details: { method, path: pathname.slice("/fn".length), query, headers },
    segments,
    contentType: c.req.header("content-type"),
    // A body has no meaning in a GET (RFC 9110, 9.3.1).
    body: method === "GET" ? new Uint8Array() : await readBody(c.env.incoming, { bytesMax, timeMs, hold: (bytes) => place.hold(bytes) }),
  };
}

/** A list for what is given more than once. */
function valueOf(first = "", more: readonly (readonly [string, string])[]): string | string[] {
  return more.length === 0 ? first : [first, ...more.map(([, value]) => value)];
}

function resultResponse(c: CallContext, id: string, result: CallResult): Response {
  if (result.kind === "answer") {
    const { status, headers, body: bytes } = result.answer;
    for (const [name, value] of headers) c.header(name, value, { append: true });
    if (c.req.method === "HEAD") c.header("content-length", String(bytes.length));
    const isEmpty = status === 204 || status === 304 || status === 205;
    return isEmpty ? c.body(null, status as StatusCode) : c.body(new Uint8Array(bytes), status as ContentfulStatusCode);
  }
  const { code, message } = result;
  const hint = Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : "";
  const status = STATUS[code] ?? 500;
  if (status === 503) c.header("retry-after", RETRY_AFTER_S);
  return c.json({ error: { code, message, hint, id } }, status);
}
