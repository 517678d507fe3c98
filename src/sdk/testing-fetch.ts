import { MillraceError, messageOf } from "../core/errors.ts";
import { compileHttp } from "../core/http-permission.ts";
import type { Fetch, FetchInit, FetchResponse } from "./index.ts";

/** What a test gives in the place of other hosts; `new Response("text")` is an answer. */
export type TestFetch = (url: string, init: FetchInit) => FetchResponse | Promise<FetchResponse>;

interface FetchParts {
  readonly name: string;
  /** `permissions.http`; undefined allows everything. */
  readonly http: readonly string[] | undefined;
  readonly fetch: TestFetch | undefined;
}

/**
 * @throws MillraceError FETCH_FORBIDDEN, as a gateway would, and where the test gives nothing; FETCH_FAILED when what the test gives throws; the reason of the
 * signal when that is aborted
 */
export function createFetch({ name, http, fetch }: FetchParts): Fetch {
  const permissions = http === undefined ? undefined : compileHttp(http);
  return async (input, init = {}) => {
    const request = typeof input === "object" && "url" in input ? input : undefined;
    const url = new URL(String(request?.url ?? input));
    if (permissions !== undefined && permissions.grant(url) === undefined) {
      throw new MillraceError("FETCH_FORBIDDEN", `permissions.http of function.yaml of "${name}" does not allow ${url.origin}`);
    }
    if (fetch === undefined) {
      const remedy = "give one to testFunction: { fetch: () => new Response() }";
      throw new MillraceError("FETCH_FORBIDDEN", `"${name}" fetches from ${url.origin}, and nothing leaves a test; ${remedy}`);
    }
    const given: FetchInit = { ...request, ...init };
    try {
      return await fetch(url.href, given);
    } catch (error) {
      if (error instanceof MillraceError || given.signal?.aborted === true) throw error;
      throw new MillraceError("FETCH_FAILED", `${url.origin}: ${messageOf(error)}`, { cause: error });
    }
  };
}
