import { type Bundle, digestOf, encodeBundle } from "../../src/core/bundle.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { type FunctionPlan, functionOf } from "../support/functions.ts";

/** What a person is told of a snippet. `harmless`: nothing at all, because every message was handled. */
export type Expected =
  | Extract<
      ErrorCode,
      | `LIMIT_${string}`
      | `FETCH_${string}`
      | `SECRET_${string}`
      | "HOST_CRASHED"
      | "FUNCTION_THREW"
      | "FUNCTION_LOAD_FAILED"
      | "PERMISSION_DENIED"
      | "PAYLOAD_INVALID"
    >
  | "harmless";

/** A small function that means harm, or that is merely odd. Its own words say what it does; it has a part of a function or the whole code. */
export interface Snippet {
  /** Unique; also the name of the function. */
  readonly name: string;
  /** Any of them will do. */
  readonly expects: readonly Expected[];
  /** The body of `async handler(event, ctx)`. */
  readonly handler?: string;
  /** The body of `async batch(events, ctx)`, in its place. */
  readonly batch?: string;
  /** The body of `async init(ctx)`. */
  readonly init?: string;
  /** Statements that run when the isolate is made. */
  readonly prelude?: string;
  /** The whole script instead; it leaves its exports in `__millrace`. */
  readonly code?: string;
  readonly plan?: Partial<Pick<FunctionPlan, "limits" | "publish" | "emit" | "http" | "also" | "onFailure">>;
  /** Its messages are requests, which wait for its answer, at `/fn/NAME/KEY`. */
  readonly asked?: true;
  /** What its messages carry. */
  readonly payload?: string;
  /** Messages that it is sent at most; otherwise as many as it takes to keep it busy while others are watched. */
  readonly messagesMax?: number;
  /** Nothing that it emits or publishes may get out. */
  readonly mute?: true;
}

/** A script whose handler is not asynchronous, so that what it returns is seen as it is. */
export function plainHandler(body: string): string {
  return `var __millrace = { default: { handler(event, ctx) { ${body}\n} } };`;
}

const LIMITS = {
  cpuMs: 50,
  wallMs: 400,
  memoryBytes: 16 * 2 ** 20,
  outputBytes: 256 * 1024,
  stateValueBytes: 16 * 1024,
  stateBytes: 2 ** 20,
};
const ATTEMPTS = 2;

export interface Deployable {
  readonly name: string;
  readonly bytes: Buffer<ArrayBuffer>;
  readonly digest: string;
}

/** Small limits, so that a round does not take long. It is woken by `hostile/NAME/KEY`. */
export function deployableOf({ name, prelude, handler, batch, init, code, plan, asked }: Snippet): Deployable {
  const parts = Object.entries({ prelude, handler, batch, init }).filter(([, text]) => text !== undefined);
  const requests: FunctionPlan["also"] = asked === true ? [{ http: `POST /${name}/:k`, answer: "sync" }] : [];
  const { bundle } = functionOf({
    ...plan,
    ...Object.fromEntries(parts),
    name,
    triggers: [`hostile/${name}/+k`],
    also: [...requests, ...(plan?.also ?? [])],
    key: "k",
    limits: { ...LIMITS, ...plan?.limits },
    retry: { attempts: ATTEMPTS, minMs: 0, maxMs: 5 },
  });
  return deployable(code === undefined ? bundle : { ...bundle, code });
}

export function deployable(bundle: Bundle): Deployable {
  const bytes = Buffer.from(encodeBundle(bundle));
  return { name: bundle.manifest.name, bytes, digest: digestOf(bytes) };
}
