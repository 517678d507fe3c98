import { type CallReply, type CallRequest, type CallResult, CALLS_MAX, type CallTarget, type HttpDetails } from "../core/http-call.ts";
import { byOpenness, type HttpRoute, isSameRoute, matchesPath, paramOf, readRoute } from "../core/http-route.ts";
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { encodeMessage, type MessageProperties, PROPERTIES_BYTES_MAX } from "../core/message.ts";
import { nearest } from "../core/nearest.ts";
import { httpTopic } from "../core/trigger-filters.ts";
import type { TriggerSpec } from "../core/triggers.ts";
import type { Derived } from "./derived.ts";
import type { Wake } from "./route.ts";

/** A caller waits for `limits.wall` of the function and a little more, so that it is told why, and never longer than that. */
const CALL_GRACE_MS = 1_000;
const CALL_MS_MAX = 60_000;

interface Callable {
  readonly name: string;
  readonly manifest: { readonly triggers: readonly TriggerSpec[]; readonly limits: { readonly wallMs: number } };
}

interface DeskRoute {
  readonly owner: Callable;
  readonly trigger: number;
  readonly route: HttpRoute;
}

export interface DeskParts {
  readonly gateway: string;
  readonly clock: Clock;
  readonly journal: {
    readonly ticks: { readonly held: boolean };
    append(entry: Derived & { readonly placed: (seq: number) => void }, done: (error?: Error) => void): void;
  };
  /** What a message with this topic wakes. */
  wakes(topic: string): Wake;
}

type Waiting = (result: CallResult) => void;

/** Takes requests for functions: each becomes a message in the journal, and is answered when that is there, or when it has been handled. */
export class HttpDesk {
  readonly #parts: DeskParts;
  readonly #waiting = new Map<number, Waiting>();
  #routes: readonly DeskRoute[] = [];
  #calls = 0;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  /** These are the functions from now on. */
  update(functions: Iterable<Callable>): void {
    this.#routes = [...functions].flatMap(routesOf).toSorted((a, b) => byOpenness(a.route, b.route));
  }

  /** @throws MillraceError ROUTE_TAKEN when another function has a route of this one */
  check(candidate: Callable): void {
    for (const { route } of routesOf(candidate)) {
      const other = this.#routes.find(({ owner, route: taken }) => owner.name !== candidate.name && isSameRoute(route, taken));
      if (other === undefined) continue;
      const path = `${route.methods.join(",")} /${route.segments.join("/")}`;
      throw new MillraceError("ROUTE_TAKEN", `"${other.owner.name}" answers ${path} on this gateway already`);
    }
  }

  find(method: string, segments: readonly string[]): CallTarget {
    const here = this.#routes.filter(({ route }) => matchesPath(route, segments));
    const found = here.find(({ route }) => route.methods.includes(method));
    if (found !== undefined) return { kind: "found", function: found.owner.name, trigger: found.trigger };
    if (here.length > 0) return { kind: "method", allow: [...new Set(here.flatMap(({ route }) => route.methods))] };
    const filled = ({ route }: DeskRoute): string => `/${route.segments.map((each, index) => fill(each, segments[index])).join("/")}`;
    const near = nearest(`/${segments.join("/")}`, this.#routes.map(filled));
    const meant = near === undefined ? undefined : this.#routes.find((each) => filled(each) === near);
    return { kind: "none", ...(meant === undefined ? {} : { nearest: `/${meant.route.segments.join("/")}` }) };
  }

  /**
   * Resolves when the request is in the journal, or handled too where its trigger says so.
   * @throws MillraceError TOO_MANY_CALLS, JOURNAL_FULL, CALL_TIMEOUT, REQUEST_INVALID, NOT_FOUND when the route has gone, and what
   * appending throws; the reason of `signal` when it is aborted, which does not undo anything
   */
  async call(target: CallTarget & { readonly kind: "found" }, request: CallRequest, signal: AbortSignal): Promise<CallReply> {
    const found = this.#routes.find(({ owner, trigger }) => owner.name === target.function && trigger === target.trigger);
    const spec = found?.owner.manifest.triggers[target.trigger];
    if (found === undefined || spec === undefined || !("http" in spec)) throw new MillraceError("NOT_FOUND", "the route has just gone");
    if (this.#calls >= CALLS_MAX) throw new MillraceError("TOO_MANY_CALLS", `${CALLS_MAX} requests wait for functions already`);
    const entry = this.#entry(found.owner.name, request);
    this.#calls++;
    const over = new AbortController();
    try {
      const waitMs = Math.min(found.owner.manifest.limits.wallMs + CALL_GRACE_MS, CALL_MS_MAX);
      const late = this.#parts.clock.sleep(waitMs, AbortSignal.any([over.signal, signal])).then(() => {
        throw new MillraceError(
          "CALL_TIMEOUT",
          `"${found.owner.name}" has not answered within ${waitMs} ms; what is in the journal is handled all the same`,
        );
      });
      return await Promise.race([this.#place(entry, spec.answer === "sync", over.signal), late]);
    } finally {
      this.#calls--;
      over.abort();
    }
  }

  /** What became of a message, for whoever waits for it. */
  give(seq: number, result: CallResult): void {
    this.#waiting.get(seq)?.(result);
  }

  #entry(functionName: string, { details, segments, contentType, body }: CallRequest): Derived {
    const topic = httpTopic(functionName, details.method, segments);
    const properties = { ...(contentType === undefined ? {} : { contentType }), ...traceOf(details), http: details };
    if (Buffer.byteLength(JSON.stringify(properties)) > PROPERTIES_BYTES_MAX || Buffer.byteLength(topic) > PROPERTIES_BYTES_MAX) {
      throw new MillraceError("REQUEST_INVALID", "the path, the query and the headers are too long");
    }
    if (this.#parts.journal.ticks.held || this.#parts.wakes(topic) === "none") {
      throw new MillraceError("JOURNAL_FULL", "the journal takes no messages at the moment");
    }
    const about = { topic, time: this.#parts.clock.now(), hops: 0 };
    return { ...about, record: encodeMessage({ ...about, payload: body, qos: 1, retain: false, source: "http", properties }) };
  }

  /** Resolves when the message is durable; with `waits` when it is known what became of it, which is committed then. */
  #place(entry: Derived, waits: boolean, over: AbortSignal): Promise<CallReply> {
    const { promise, resolve, reject } = Promise.withResolvers<CallReply>();
    let id = "";
    const placed = (seq: number): void => {
      id = `${this.#parts.gateway}:${seq}`;
      if (!waits || over.aborted) return;
      this.#waiting.set(seq, (result) => resolve({ id, result }));
      over.addEventListener("abort", () => this.#waiting.delete(seq), { once: true });
    };
    this.#parts.journal.append({ ...entry, placed }, (error) => {
      if (error !== undefined) reject(error);
      else if (!waits) resolve({ id });
    });
    return promise;
  }
}

/** A parameter stands for what was asked for in its place. */
function fill(segment: string, asked: string | undefined): string {
  return paramOf(segment) === undefined || asked === undefined || asked === "" ? segment : asked;
}

function routesOf(owner: Callable): DeskRoute[] {
  return owner.manifest.triggers.flatMap((spec, trigger) => {
    const route = "http" in spec ? readRoute(spec.http) : undefined;
    return route === undefined || "problem" in route ? [] : [{ owner, trigger, route }];
  });
}

/** The trace of a caller stands where that of a message does. */
function traceOf({ headers: { traceparent, tracestate } }: HttpDetails): Pick<MessageProperties, "user"> {
  if (traceparent === undefined) return {};
  return { user: { traceparent, ...(tracestate === undefined ? {} : { tracestate }) } };
}
