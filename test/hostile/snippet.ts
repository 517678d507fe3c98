import { type Bundle, digestOf, encodeBundle } from "../../src/core/bundle.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { type FunctionPlan, functionOf } from "../support/functions.ts";
import { builtCode } from "./built.ts";

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
  /** The body of `async migrate(entries, from, ctx)`. Before, another version stores 1 as "kept" under every key; afterwards one has to find it there. */
  readonly migrate?: string;
  /** Statements that run when the isolate is made. */
  readonly prelude?: string;
  /** The whole script instead; it leaves its exports in `__millrace`. */
  readonly code?: string;
  /** Prelude and handler are a module that is built as `millrace build` does it, with the globals of the web and, as `std`, `millrace/std`. */
  readonly built?: true;
  /** What the bundle says about where its script comes from. */
  readonly sourceMap?: string;
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
export async function deployableOf(snippet: Snippet): Promise<Deployable> {
  const { name, prelude, handler, batch, init, migrate, code, built, sourceMap = "", plan, asked } = snippet;
  const parts = Object.entries({ prelude, handler, batch, init, migrate }).filter(([, text]) => text !== undefined);
  const requests: FunctionPlan["also"] = asked === true ? [{ http: `POST /${name}/:k`, answer: "sync" }] : [];
  const { bundle } = functionOf({
    ...plan,
    ...Object.fromEntries(parts),
    ...(migrate === undefined ? {} : { stateVersion: 2 }),
    name,
    triggers: [`hostile/${name}/+k`],
    also: [...requests, ...(plan?.also ?? [])],
    key: "k",
    limits: { ...LIMITS, ...plan?.limits },
    retry: { attempts: ATTEMPTS, minMs: 0, maxMs: 5 },
  });
  const script = built === true ? await builtCode({ prelude: prelude ?? "", handler: handler ?? "" }) : (code ?? bundle.code);
  return deployable({ ...bundle, code: script, sourceMap });
}

const STORES = "ctx.state.set('kept', 1);";
const FINDS = "if ((await ctx.state.get('kept')) !== 1) throw new TypeError('what was stored is lost');";

/** The versions around one that migrates: what stores, and what the author publishes to undo it. */
export function neighboursOf({ name }: Snippet): Record<"before" | "after", () => Promise<Deployable>> {
  return {
    before: () => deployableOf({ name, expects: ["harmless"], handler: STORES }),
    after: async () => {
      const { bundle } = functionOf({
        name,
        triggers: [`hostile/${name}/+k`],
        key: "k",
        stateVersion: 3,
        migrate: "return entries;",
        handler: FINDS,
        limits: LIMITS,
        retry: { attempts: 1 },
      });
      return deployable(bundle);
    },
  };
}

export function deployable(bundle: Bundle): Deployable {
  const bytes = Buffer.from(encodeBundle(bundle));
  return { name: bundle.manifest.name, bytes, digest: digestOf(bytes) };
}
