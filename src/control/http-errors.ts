import { type ErrorCode, MillraceError, messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

/** A code that is not here is the server's own trouble: 500. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  REQUEST_INVALID: 400,
  BUNDLE_CORRUPT: 400,
  FUNCTION_UNKNOWN: 404,
  NOT_FOUND: 404,
  BUNDLE_TOO_LARGE: 413,
  DIGEST_MISMATCH: 422,
  TOPIC_FILTER_INVALID: 422,
  SOURCE_MAP_INVALID: 422,
  STORE_FAILED: 503,
  DISK_FULL: 507,
};

/** The one shape of every error: `{error: {code, message, hint}}`. Of a defect the caller learns that it is one, the log learns the rest. */
export function errorAnswer(error: unknown, logger: Logger): Response {
  const known =
    error instanceof MillraceError
      ? error
      : new MillraceError("INTERNAL_ERROR", `the request failed: ${messageOf(error)}`, { cause: error });
  const status = STATUS[known.code] ?? 500;
  if (status >= 500) logger.error({ err: error }, "request failed");
  return Response.json({ error: { code: known.code, message: known.message, hint: known.hint } }, { status });
}
