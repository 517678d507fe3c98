import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { ERRORS, type ErrorCode, MillraceError } from "../core/errors.ts";

/** The body of every answer that is not a success. */
export interface Failure {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string };
}

const STATUS: Partial<Record<ErrorCode, ContentfulStatusCode>> = {
  REQUEST_INVALID: 400,
  REQUEST_TIMEOUT: 408,
  PAYLOAD_INVALID: 400,
  TOPIC_FILTER_INVALID: 400,
  FUNCTION_UNKNOWN: 404,
  NOT_FOUND: 404,
  TRACE_UNKNOWN: 404,
  TOO_MANY_FOLLOWERS: 503,
  TOO_MANY_REPLAYS: 503,
  TOO_MANY_CALLS: 503,
  CALL_TIMEOUT: 504,
  CALL_REFUSED: 403,
  TOO_MANY_INSPECTIONS: 503,
  INSPECTION_REFUSED: 403,
  INSPECTION_ENDED: 409,
  FUNCTION_QUARANTINED: 409,
  PORT_IN_USE: 409,
  BUNDLE_CORRUPT: 400,
  FUNCTION_LOAD_FAILED: 422,
  JOURNAL_CLOSED: 503,
  JOURNAL_FULL: 507,
  DISK_FULL: 507,
};

/** What a client is told of an error. A bug shows nothing of its inside; `bug` says that it has to be logged. */
export function failureOf(error: unknown): { status: ContentfulStatusCode; body: Failure; bug: boolean } {
  if (error instanceof MillraceError) return { status: STATUS[error.code] ?? 500, body: body(error.code, error.message), bug: false };
  if (error instanceof HTTPException) return { status: error.status, body: body("REQUEST_INVALID", error.message), bug: false };
  return { status: 500, body: body("INTERNAL", "the gateway failed to answer"), bug: true };
}

export function body(code: ErrorCode, message: string): Failure {
  return { error: { code, message, hint: ERRORS[code] } };
}
