import { type Bundle, digestOf, encodeBundle } from "../../src/core/bundle.ts";
import { type Manifest, manifestSchema } from "../../src/core/manifest.ts";
import type { Target } from "../../src/runtime/runtime.ts";

export interface FunctionPlan {
  readonly name?: string;
  readonly version?: number;
  readonly triggers?: readonly string[];
  /** Triggers whose messages are not to be written to disk. */
  readonly volatile?: readonly string[];
  /** Triggers that are no topics, behind those that are. */
  readonly also?: Manifest["triggers"];
  readonly order?: Manifest["order"];
  readonly idempotency?: Manifest["idempotency"];
  readonly overflow?: Manifest["overflow"];
  readonly outbox?: Manifest["outbox"];
  readonly key?: string;
  readonly concurrency?: number;
  readonly warm?: number;
  readonly idleMs?: number;
  readonly isolation?: Manifest["isolation"];
  readonly limits?: Partial<Manifest["limits"]>;
  readonly retry?: Partial<Manifest["retry"]>;
  readonly onFailure?: Manifest["onFailure"];
  readonly publish?: readonly string[];
  readonly emit?: readonly string[];
  /** Hosts that it may fetch from. */
  readonly http?: readonly string[];
  readonly secrets?: readonly string[];
  /** Of its state. */
  readonly stateVersion?: number;
  /** Statements that run when the isolate is made. */
  readonly prelude?: string;
  /** The body of `async init(ctx)`. */
  readonly init?: string;
  /** The body of `async migrate(entries, from, ctx)`. */
  readonly migrate?: string;
  /** The body of `async handler(event, ctx)`. */
  readonly handler?: string;
  /** The body of `async batch(events, ctx)`, in the place of a handler. */
  readonly batch?: string;
  /** How many messages that gets, and how long they are waited for; 100 and 20 ms unless given. */
  readonly window?: Manifest["batch"];
}

export interface TestFunction {
  readonly target: Target;
  readonly bundle: Bundle;
}

/** A deployable function from a few lines of JavaScript. It listens to `in/+k` with key `k`, may publish and emit everything. */
export function functionOf(plan: FunctionPlan): TestFunction {
  const { name = "f", version = 1, triggers = ["in/+k"], concurrency = 1, publish = ["#"], emit = ["*"] } = plan;
  const key = plan.key ?? (plan.triggers === undefined ? "k" : undefined);
  const manifest = manifestSchema.parse({
    name,
    api: 1,
    description: "",
    triggers: [...triggers.map((mqtt) => ({ mqtt, durable: plan.volatile?.includes(mqtt) !== true })), ...(plan.also ?? [])],
    ...(key === undefined ? {} : { key }),
    order: plan.order,
    batch: plan.batch === undefined ? undefined : (plan.window ?? { size: 100, windowMs: 20 }),
    idempotency: plan.idempotency,
    overflow: plan.overflow,
    outbox: plan.outbox,
    state: plan.stateVersion === undefined ? undefined : { version: plan.stateVersion },
    concurrency,
    warm: plan.warm,
    idleMs: plan.idleMs,
    isolation: plan.isolation,
    limits: { cpuMs: 200, wallMs: 5_000, memoryBytes: 32 * 2 ** 20, outputBytes: 2 ** 20, stateValueBytes: 65_536, ...plan.limits },
    retry: { attempts: 3, minMs: 1, maxMs: 20, maxAgeMs: 3_600_000, ...plan.retry },
    onFailure: plan.onFailure,
    permissions: { publish: [...publish], emit: [...emit], http: plan.http, secrets: plan.secrets },
    env: {},
  });
  const init = plan.init === undefined ? "" : `async init(ctx){${plan.init}\n},`;
  const migrate = plan.migrate === undefined ? "" : `async migrate(entries,from,ctx){${plan.migrate}\n},`;
  const handle =
    plan.batch === undefined ? `async handler(event,ctx){${plan.handler ?? ""}\n}` : `async batch(events,ctx){${plan.batch}\n}`;
  const code = `${plan.prelude ?? ""};var __millrace={default:{${init}${migrate}${handle}}};`;
  const bundle: Bundle = { manifest, code, sourceMap: "" };
  return { bundle, target: { name, version, digest: digestOf(encodeBundle(bundle)) } };
}
