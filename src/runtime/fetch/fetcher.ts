import { canonicalAddress } from "../../core/addresses.ts";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import type { FetchStats } from "../../core/fetch-stats.ts";
import { compileHttp, type HttpGrant, type HttpPermissions } from "../../core/http-permission.ts";
import type { Manifest } from "../../core/manifest.ts";
import type { CallAnswer, Call } from "../open-calls.ts";
import { Connections, type Received } from "./exchange.ts";
import { FetchMeter } from "./fetch-meter.ts";
import { type Lookup, Names } from "./names.ts";
import { type FetchRequest, parseFetch, redirected } from "./request.ts";
import { type SlotLimits, Slots } from "./slots.ts";

const REDIRECTS_MAX = 5;
const DEFAULTS = { requestsMax: 64, functionRequestsMax: 16, bytesMax: 64 * 2 ** 20, userAgent: "millrace" };

export interface FetcherOptions extends SlotLimits {
  readonly userAgent: string;
  /** The system's resolver by default. */
  readonly lookup?: Lookup;
}

/** Does the fetches of functions, whose hosts have no network. */
export class Fetcher {
  readonly slots: Slots;
  readonly names: Names;
  readonly userAgent: string;

  constructor(options: Partial<FetcherOptions> = {}) {
    const all = { ...DEFAULTS, ...options };
    this.slots = new Slots(all);
    this.names = new Names(options.lookup);
    this.userAgent = all.userAgent;
  }

  of(manifest: Manifest): FunctionFetch {
    return new FunctionFetch(this, manifest);
  }
}

/** The fetches of one version of a function, with what its manifest allows. */
export class FunctionFetch implements Disposable {
  readonly #fetcher: Fetcher;
  readonly #name: string;
  readonly #bytesMax: number;
  readonly #permissions: HttpPermissions;
  readonly #connections = new Connections();
  readonly #meter = new FetchMeter();

  constructor(fetcher: Fetcher, { name, limits, permissions }: Manifest) {
    this.#fetcher = fetcher;
    this.#name = name;
    this.#bytesMax = limits.fetchBytes;
    this.#permissions = compileHttp(permissions.http);
  }

  /** Undefined as long as there was none. */
  get stats(): FetchStats | undefined {
    return this.#meter.stats;
  }

  /**
   * @throws MillraceError FETCH_FORBIDDEN, FETCH_FAILED, LIMIT_FETCH; TypeError for a request that is none; the signal's reason when aborted
   */
  async answer({ head, body, signal }: Call): Promise<CallAnswer> {
    const startedAt = performance.now();
    const sent = { bytes: body.length, ms: () => performance.now() - startedAt };
    const request = parseFetch(head, body);
    try {
      if (body.length > this.#bytesMax) throw new MillraceError("LIMIT_FETCH", "the body of a fetch is larger than limits.fetch");
      this.#grant(request.url);
      const leave = await this.#fetcher.slots.take({ owner: this, bytes: this.#bytesMax }, signal);
      try {
        const { request: last, received, isRedirected } = await this.#follow(request, signal);
        this.#meter.answered(received.status, { ...sent, received: received.body.length });
        const { status, statusText, headers } = received;
        return { head: { status, statusText, headers, url: withoutFragment(last.url), redirected: isRedirected }, body: received.body };
      } finally {
        leave();
      }
    } catch (error) {
      const failure = signal.aborted ? error : this.#failure(error, request.url.origin);
      this.#meter.failed(signal.aborted ? "aborted" : failure, sent);
      throw failure;
    }
  }

  async #follow(first: FetchRequest, signal: AbortSignal): Promise<{ request: FetchRequest; received: Received; isRedirected: boolean }> {
    let request = first;
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const received = await this.#hop(request, signal);
      const next = request.redirect === "manual" ? undefined : nextOf(request, received);
      if (next === undefined) return { request, received, isRedirected: hops > 0 };
      if (request.redirect === "error") throw new Error(`it answers with a redirect to ${next.url.origin}`);
      request = next;
    }
    throw new Error(`it answers with more than ${REDIRECTS_MAX} redirects`);
  }

  #hop(request: FetchRequest, signal: AbortSignal): Promise<Received> {
    const grant = this.#grant(request.url);
    const { hostname } = request.url;
    // For an address there is nothing to look up, and nobody would be asked.
    if (canonicalAddress(hostname) !== undefined) this.#reachable(grant, hostname, [{ address: hostname }]);
    const addresses = async (name: string): ReturnType<Names["addresses"]> =>
      this.#reachable(grant, name, await this.#fetcher.names.addresses(name));
    const { userAgent } = this.#fetcher;
    return this.#connections.exchange(request, { addresses, bytesMax: this.#bytesMax, userAgent, signal });
  }

  #grant(url: URL): HttpGrant {
    const grant = this.#permissions.grant(url);
    if (grant !== undefined) return grant;
    const entry = url.protocol === "https:" ? url.host : url.origin;
    throw this.#forbidden(`${url.origin}: nothing in permissions.http allows it; add "${entry}" to permissions.http of function.yaml`);
  }

  /** Those of the addresses that may be connected to. @throws MillraceError FETCH_FORBIDDEN when there are none */
  #reachable<T extends { readonly address: string }>(grant: HttpGrant, name: string, found: readonly T[]): readonly T[] {
    const usable = found.filter(({ address }) => this.#permissions.mayReach(grant, address));
    const [first] = found;
    if (usable.length > 0 || first === undefined) return usable;
    const address = canonicalAddress(first.address) ?? first.address;
    const shown = address.includes(":") ? `[${address}]` : address;
    throw this.#forbidden(`${name}: it has the address ${address}, which is not public; add "${shown}" to permissions.http as well`);
  }

  #forbidden(text: string): MillraceError {
    return new MillraceError("FETCH_FORBIDDEN", `function "${this.#name}" may not fetch from ${text} and publish it again`);
  }

  #failure(error: unknown, origin: string): unknown {
    if (error instanceof MillraceError) return error;
    if (systemCode(error) === "HPE_HEADER_OVERFLOW")
      return new MillraceError("LIMIT_FETCH", `the headers of the answer of ${origin} are larger than 16 KB`, { cause: error });
    return new MillraceError("FETCH_FAILED", `function "${this.#name}" could not fetch from ${origin}: ${reasonOf(error)}`, {
      cause: error,
    });
  }

  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]();
  }
}

function nextOf(request: FetchRequest, { status, location }: Received): FetchRequest | undefined {
  try {
    return redirected(request, status, location);
  } catch (cause) {
    throw new Error("it answers with a redirect to something that is no address of http or https", { cause });
  }
}

/** Where several addresses were tried, what the first one said. */
function reasonOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return messageOf(first) || (systemCode(first) ?? "the connection failed");
}

function withoutFragment(url: URL): string {
  return url.href.replace(/#.*$/s, "");
}
