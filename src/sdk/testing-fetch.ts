import { AsyncLocalStorage } from "node:async_hooks";
import { MillraceError } from "../core/errors.ts";
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

/** @throws MillraceError FETCH_FORBIDDEN, as a gateway would, and where the test gives nothing */
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
    return fetch(url.href, { ...request, ...init });
  };
}

const handling = new AsyncLocalStorage<Fetch>();
/** What has been put in the place of Node's own. */
const replaced = new WeakSet<object>();

/** Runs a handler so that the global `fetch` is its own, and that of everybody else what it was. */
export function withGlobalFetch<T>(fetch: Fetch, run: () => T): T {
  const { fetch: outer } = globalThis;
  if (!replaced.has(outer)) {
    const value = (...all: Parameters<typeof outer>): Promise<unknown> => {
      const own = handling.getStore();
      return own === undefined ? outer(...all) : Reflect.apply(own, undefined, all);
    };
    replaced.add(value);
    Object.defineProperty(globalThis, "fetch", { value, writable: true, configurable: true });
  }
  return handling.run(fetch, run);
}
