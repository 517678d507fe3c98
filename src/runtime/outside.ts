import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import type { FetchStats } from "../core/fetch-stats.ts";
import { Fetcher, type FetcherOptions, type FunctionFetch } from "./fetch/fetcher.ts";
import { CALL_FETCH, CALL_SECRET } from "./host/guest-call-kinds.ts";
import type { AnswerCall, Call, CallAnswer } from "./open-calls.ts";
import { FunctionSecrets, type SecretSource } from "./secrets/function-secrets.ts";

export interface OutsideOptions {
  readonly fetch?: Partial<FetcherOptions>;
  /** Without it there are none. */
  readonly secrets?: SecretSource;
  /** Without it only manifests say what functions may publish. */
  readonly rules?: PublishRules;
}

/** What the operator says of publishes, beside the manifests. */
export interface PublishRules {
  /** Why the function may not publish to the topic, or undefined when it may. */
  publishProblem(name: string, topic: string, retain: boolean): string | undefined;
}

/** What functions can reach beyond their messages and their state. */
export class Outside {
  readonly rules: PublishRules | undefined;
  readonly #fetcher: Fetcher;
  readonly #secrets: SecretSource;

  constructor(options: OutsideOptions = {}) {
    this.#fetcher = new Fetcher(options.fetch);
    this.#secrets = options.secrets ?? { get: () => undefined };
    this.rules = options.rules;
  }

  of({ manifest }: Bundle): FunctionOutside {
    const { name, permissions } = manifest;
    return new FunctionOutside(this.#fetcher.of(manifest), new FunctionSecrets({ name, names: permissions.secrets }, this.#secrets));
  }
}

/** The same for one version of a function. */
export class FunctionOutside implements Disposable {
  readonly secrets: FunctionSecrets;
  readonly #fetch: FunctionFetch;

  constructor(fetch: FunctionFetch, secrets: FunctionSecrets) {
    this.#fetch = fetch;
    this.secrets = secrets;
  }

  get fetches(): FetchStats | undefined {
    return this.#fetch.stats;
  }

  /** @throws MillraceError, TypeError for the function; the signal's reason when aborted */
  async answer(call: Call): Promise<CallAnswer> {
    if (call.what === CALL_FETCH) return this.#fetch.answer(call);
    if (call.what === CALL_SECRET) return { head: { value: this.secrets.get(call.head) } };
    throw new MillraceError("LIMIT_CALLS", "the function has asked for something that there is not");
  }

  /** The same while it is only being tried: it fetches when that is asked for. */
  tried({ fetch }: { readonly fetch: boolean }): AnswerCall {
    return (call) => (call.what === CALL_FETCH && !fetch ? refuseCalls(call) : this.answer(call));
  }

  [Symbol.dispose](): void {
    this.#fetch[Symbol.dispose]();
  }
}

/** For code that is only being tried: nothing may leave the gateway. */
export function refuseCalls({ what }: Pick<Call, "what">): Promise<CallAnswer> {
  if (what === CALL_SECRET) {
    return Promise.reject(new MillraceError("SECRET_MISSING", "a function that is only being tried on recorded messages gets no secrets"));
  }
  const text = "a function that is only being tried fetches nothing; `millrace invoke --fetch` lets it";
  return Promise.reject(new MillraceError("FETCH_FORBIDDEN", text));
}
