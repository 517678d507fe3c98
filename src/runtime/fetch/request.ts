import { validateHeaderName, validateHeaderValue } from "node:http";
import { z } from "zod";
import { MillraceError } from "../../core/errors.ts";

const URL_CHARS_MAX = 8 * 1024;
const HEADERS_MAX = 100;
const HEADER_CHARS_MAX = 16 * 1024;
const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] as const;
/** What is for the connection to say, and not for the function. */
const NOT_ITS_OWN = [
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const headSchema = z.object({
  url: z.string().max(URL_CHARS_MAX),
  method: z.enum(METHODS),
  redirect: z.enum(["follow", "manual", "error"]),
  headers: z.array(z.tuple([z.string(), z.string()])).max(HEADERS_MAX),
});

type Header = readonly [name: string, value: string];

/** One request, ready to be sent. */
export interface FetchRequest {
  readonly url: URL;
  readonly method: string;
  readonly redirect: "follow" | "manual" | "error";
  readonly headers: readonly Header[];
  readonly body: Buffer;
}

/**
 * Reads what an isolate asks for. The guest has looked at all of it, so what is wrong here is the work of code that got around it, or a URL.
 * @throws TypeError for what the author has to correct; MillraceError LIMIT_FETCH
 */
export function parseFetch(head: unknown, body: Buffer): FetchRequest {
  const parsed = headSchema.safeParse(head);
  if (!parsed.success) throw new MillraceError("LIMIT_FETCH", "a fetch has too many headers, too long a URL, or is none");
  const { url: text, method, redirect, headers } = parsed.data;
  return { url: parseUrl(text), method, redirect, headers: headers.map(checked), body: withinBounds(headers, body) };
}

/** @throws TypeError */
function parseUrl(text: string, base?: URL): URL {
  const url = URL.canParse(text, base?.href) ? new URL(text, base?.href) : undefined;
  if (url === undefined) throw new TypeError("fetch: the URL is not an absolute one such as https://api.example.com/path");
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new TypeError(`fetch: the scheme "${url.protocol}" is neither http nor https`);
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("fetch: the URL has a user or a password in it; send them in the header authorization");
  }
  return url;
}

function checked([name, value]: Header): Header {
  const lower = name.toLowerCase();
  if (NOT_ITS_OWN.includes(lower) || lower.startsWith("proxy-")) {
    throw new TypeError(`fetch: the header "${lower}" cannot be set by a function`);
  }
  validateHeaderName(lower);
  validateHeaderValue(lower, value);
  return [lower, value];
}

function withinBounds(headers: readonly Header[], body: Buffer): Buffer {
  const chars = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (chars > HEADER_CHARS_MAX)
    throw new MillraceError("LIMIT_FETCH", `the headers of a fetch have more than ${HEADER_CHARS_MAX} characters`);
  return body;
}

/** What of it goes on to the address that an answer names. Undefined when the answer names none. @throws TypeError */
export function redirected(request: FetchRequest, status: number, location: string | undefined): FetchRequest | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return undefined;
  const url = parseUrl(location, request.url);
  const toGet = (status === 303 && request.method !== "HEAD") || (status < 303 && request.method === "POST");
  const isElsewhere = url.origin !== request.url.origin;
  const headers = request.headers.filter(([name]) => !(toGet && name.startsWith("content-")) && !(isElsewhere && isCredential(name)));
  return { ...request, url, headers, ...(toGet ? { method: "GET", body: Buffer.alloc(0) } : {}) };
}

/** Also what is one only by custom: the other origin was not meant to have it. */
function isCredential(name: string): boolean {
  return (
    name === "authorization" ||
    name === "cookie" ||
    /(?:^|-)(?:api-?key|token|secret|auth|authorization|password|signature)(?:-|$)/.test(name)
  );
}
