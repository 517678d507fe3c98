import { z } from "zod";
import { ERRORS, type ErrorCode, MillraceError, messageOf } from "../../core/errors.ts";

const TIMEOUT_MS = 15_000;

/** One server that is asked over HTTP, and how an error names it. */
export interface Remote {
  /** `http://127.0.0.1:8340` */
  readonly base: string;
  /** `the control plane` */
  readonly what: string;
  readonly unreachable: ErrorCode;
}

export interface Ask<T> {
  readonly path: string;
  readonly schema: z.ZodType<T>;
  readonly signal: AbortSignal;
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** How long the whole answer may take; 15 s. */
  readonly timeoutMs?: number;
}

const errorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Checks an address given by flag and takes a slash off its end. */
export function remote(address: string, of: { flag: string; what: string; unreachable: ErrorCode }): Remote {
  if (!/^https?:\/\/./.test(address) || !URL.canParse(address)) {
    throw new MillraceError("USAGE", `${of.flag} "${address}" is no address such as http://127.0.0.1:8340`);
  }
  return { base: address.replace(/\/+$/, ""), what: of.what, unreachable: of.unreachable };
}

/** @throws MillraceError: what the server says, or that it cannot be reached, or that it is no such server */
export async function ask<T>(to: Remote, request: Ask<T>): Promise<T> {
  const limit = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
  const response = await open(to, { ...request, signal: AbortSignal.any([request.signal, limit]) });
  const text = await response.text().catch((cause: unknown) => {
    throw unreachable(to, cause);
  });
  const result = request.schema.safeParse(jsonOf(text));
  if (!result.success) {
    const [issue] = result.error.issues;
    const where = issue === undefined ? "" : ` (${issue.path.join(".")}: ${issue.message})`;
    throw new MillraceError(to.unreachable, `what answers at ${to.base}${request.path} is not ${to.what} of this version${where}`);
  }
  return result.data;
}

/** Sends the request and returns the answer once its status is known to be good. No limit of time but the signal. */
export async function open(to: Remote, request: Omit<Ask<unknown>, "schema">): Promise<Response> {
  const { path, signal, method = "GET", headers = {}, body } = request;
  let response: Response;
  try {
    response = await fetch(to.base + path, { method, headers, signal, ...(body === undefined ? {} : { body }) });
  } catch (cause) {
    throw unreachable(to, cause);
  }
  if (response.ok) return response;
  const said = errorBody.safeParse(jsonOf(await response.text()));
  if (said.success && isCode(said.data.error.code)) throw new MillraceError(said.data.error.code, said.data.error.message);
  throw new MillraceError(to.unreachable, `${to.what} at ${to.base} answered ${method} ${path} with status ${response.status}`);
}

/** What a failed request or a broken answer means. A stop that the caller asked for stays what it is. */
export function unreachable(to: Remote, cause: unknown): Error {
  if (cause instanceof Error && cause.name === "AbortError") return cause;
  if (cause instanceof Error && cause.name === "TimeoutError") {
    return new MillraceError(to.unreachable, `${to.what} at ${to.base} did not answer in time`, { cause });
  }
  const reason = cause instanceof Error && cause.cause instanceof Error ? reasonOf(cause.cause) : messageOf(cause);
  return new MillraceError(to.unreachable, `${to.what} does not answer at ${to.base}: ${reason}`, { cause });
}

/** A refused connection to a name with several addresses has its message one level further down. */
function reasonOf(error: Error): string {
  if (error.message !== "") return error.message;
  return error instanceof AggregateError ? messageOf(error.errors[0]) : error.name;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No JSON is no answer of ours; the schema says so.
    return undefined;
  }
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** `?a=1&b=2` of the values that are defined. */
export function queryOf(values: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, String(value));
  return query.size === 0 ? "" : `?${query.toString()}`;
}
