import { z } from "zod";
import { IDEMPOTENCY_KEY, ISOLATIONS, ORDERS, OVERFLOWS } from "../../core/manifest.ts";
import { httpEntryProblem } from "../../core/http-permission.ts";
import { onFailureSchema } from "./manifest-on-failure.ts";
import { type Bounds, choice, DURATION, quantity, readQuantity, SIZE } from "./manifest-values.ts";
import { topicFilter, triggersSchema, typePattern } from "./trigger-schema.ts";

/**
 * function.yaml as people write it. Everything that is said about a manifest comes from here: what is accepted, function.schema.json and
 * docs/reference/manifest.md.
 */

const BACKOFF_BOUNDS: Bounds = { min: "10ms", max: "1h" };

const backoff = z
  .string({ error: 'must be two durations, such as "1s..60s"' })
  .transform((text, ctx): { minMs: number; maxMs: number } => {
    const parts = text.split("..");
    const [min, max] = parts.map((part) => readQuantity(DURATION, part, BACKOFF_BOUNDS));
    let problem: string | undefined;
    if (min === undefined || max === undefined || parts.length !== 2) problem = `"${text}" is not two durations; try "1s..60s"`;
    else if ("problem" in min) problem = min.problem;
    else if ("problem" in max) problem = max.problem;
    else if (min.amount > max.amount) problem = `"${text}" starts above its end; try "${parts[1]}..${parts[0]}"`;
    else return { minMs: min.amount, maxMs: max.amount };
    ctx.addIssue({ code: "custom", message: problem, input: text });
    return z.NEVER;
  })
  .prefault("1s..60s")
  .meta({
    description:
      "Wait before the second try, and the longest before a later one; it doubles in between, and each wait is shortened by up to half at random. 10ms to 1h.",
    pattern: String.raw`^\d+(\.\d+)?(ms|s|m|h|d)\.\.\d+(\.\d+)?(ms|s|m|h|d)$`,
  });

export const keySchema = z
  .string({ error: 'must be the name of a wildcard, a path such as "data.id" or "topic"' })
  .max(200, { error: "must be at most 200 characters long" })
  .prefault("topic")
  .meta({
    description:
      "What orders the work and scopes the state: a named wildcard that every `mqtt` trigger has, and every `http` trigger as a parameter, " +
      "a path into the JSON or CBOR payload, or `topic`.",
    examples: ["device", "data.id"],
  });

export const batchSchema = z
  .strictObject({
    size: z.int().min(1).max(256).prefault(100).meta({ description: "Messages that one call gets, at most. 1 to 256." }),
    window: quantity(DURATION, "20ms", { min: "0ms", max: "60s" }, "How long the first message waits for others."),
  })
  .meta({
    description: "Hands messages to `batch(events, ctx)` of the function, many at once, instead of one by one to its handler.",
    examples: [{ size: 100, window: "20ms" }],
  });

export const stateSchema = z
  .strictObject({
    version: z.int().min(1).max(1_000_000).prefault(1).meta({
      description:
        "Raise it when what is stored changes its shape; above 1 the function needs `migrate(entries, from, ctx)`. 1 to 1000000.",
    }),
  })
  .meta({ description: "The shape of what the function keeps.", examples: [{ version: 2 }] });

export const idempotencySchema = z
  .strictObject({
    key: z
      .string({ error: 'must be a path such as "data.id" or a user property such as "property:message-id"' })
      .max(200)
      .regex(IDEMPOTENCY_KEY, { error: (issue) => idempotencyKeyProblem(String(issue.input)) })
      .meta({
        description: "Where a message says which one it is: a path into the JSON payload, or `property:` and an MQTT 5 user property.",
        examples: ["data.id", "property:message-id"],
      }),
    window: quantity(
      DURATION,
      "10m",
      { min: "1s", max: "30d" },
      "A message with a key that was handled within this time is not handled again.",
    ),
    entries: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(100_000)
      .meta({ description: "Keys that are remembered; the oldest give way. 1 to 1000000." }),
  })
  .meta({
    description: "Recognizes messages that were sent again. Without it, a QoS 1 message that a client sends anew counts as another one.",
    examples: [{ key: "data.id", window: "10m" }],
  });

function idempotencyKeyProblem(text: string): string {
  const near =
    text.startsWith("data") || text.includes(":") ? "" : `; try "data.${text.replaceAll(/^\.+|\.+$/g, "")}" or "property:${text}"`;
  return `"${text}" is neither a path such as "data.id" nor a user property such as "property:message-id"${near}`;
}

const limitsSchema = z
  .strictObject({
    cpu: quantity(DURATION, "50ms", { min: "1ms", max: "10s" }, "Computing time for one message."),
    wall: quantity(DURATION, "5s", { min: "1ms", max: "5m" }, "Time for one message, waiting included; not below `cpu`."),
    init: quantity(DURATION, "2s", { min: "10ms", max: "5s" }, "Time for `init` of an isolate, waiting included."),
    memory: quantity(SIZE, "32MB", { min: "8MB", max: "1GB" }, "Heap of the isolate."),
    output: quantity(
      SIZE,
      "1MB",
      { min: "1KB", max: "8MB" },
      "Everything that one message publishes, emits and stores, and one publish, event or stored value for each KB of it, 100 in any case.",
    ),
    state: quantity(SIZE, "64MB", { min: "1KB", max: "16GB" }, "Everything that the function keeps; not below `stateValue`."),
    fetch: quantity(SIZE, "1MB", { min: "1KB", max: "8MB" }, "One body of a fetch, sent or received."),
    stateValue: quantity(SIZE, "64KB", { min: "1KB", max: "1MB" }, "One value in the state, as JSON."),
  })
  .prefault({})
  .meta({ description: "Bounds of one handled message, and of what is kept; over one of them the message fails." });

const retrySchema = z
  .strictObject({
    attempts: z
      .int()
      .min(1, { error: "must be at least 1, which is the first try alone" })
      .max(100, { error: "must be at most 100; what fails so often waits better in the dead letters" })
      .prefault(5)
      .meta({ description: "Tries in all before the message goes to the dead letters; with 1 it is never tried again. 1 to 100." }),
    backoff,
    maxAge: quantity(
      DURATION,
      "1h",
      { min: "1s", max: "30d", instead: 'for a single try write "attempts: 1"' },
      "A try that begins when the message is older than this is the last one; the first always comes. Does not count for ticks of schedules.",
    ),
  })
  .prefault({})
  .meta({
    description:
      "What happens after a handler threw. A `PermanentError`, a payload that is not JSON and what `permissions` or `limits` refuse is not retried.",
  });

export const outboxSchema = z
  .array(
    z.strictObject({
      types: z
        .array(typePattern)
        .min(1, { error: "at least one event type is needed" })
        .max(100)
        .meta({ description: "Event types; `*` at the end stands for any rest.", examples: [["alarm", "com.example.*"]] }),
      priority: z.int().min(0).max(9).prefault(5).meta({ description: "0 to 9; what is higher is sent first." }),
      ttl: quantity(DURATION, "1h", { min: "1s", max: "365d" }, "An event that waits longer is dropped, counted; never without it.")
        .unwrap()
        .optional(),
      overflow: choice(
        OVERFLOWS,
        "block",
        "At the outbox's quota `block` makes functions that emit wait; `drop-oldest` and `drop-newest` drop events, counted. `keep-latest` " +
          "always keeps only the newest waiting event of each function, type and subject.",
      ),
    }),
  )
  .max(32)
  .prefault([])
  .meta({
    description: "How events wait for the cloud, by type; the first rule that matches. Others have priority 5, no ttl and `block`.",
    examples: [[{ types: ["alarm"], priority: 9 }]],
  });

const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

const httpEntry = z
  .string({ error: 'must be a host such as "api.example.com" or "http://10.0.0.5:8080"' })
  .max(300)
  .superRefine((text, ctx) => {
    const problem = httpEntryProblem(text);
    if (problem !== undefined) ctx.addIssue({ code: "custom", message: problem, input: text });
  });

const permissionsSchema = z
  .strictObject({
    publish: z
      .array(topicFilter)
      .max(100)
      .prefault([])
      .meta({ description: "Topic filters that it may publish to; none unless named.", examples: [["cmd/+/+/fan"]] }),
    emit: z
      .array(typePattern)
      .max(100)
      .prefault(["*"])
      .meta({
        description: "Event types that it may emit; `*` at the end stands for any rest.",
        examples: [["measurement", "com.example.*"]],
      }),
    http: z
      .array(httpEntry)
      .max(100)
      .prefault([])
      .meta({
        description:
          "Hosts that it may fetch from, as `[scheme://]host[:port]`; https unless said. `*.` stands for any name before the rest. An address that is " +
          "not public has to be named itself.",
        examples: [["api.example.com", "*.example.com:8443", "http://10.0.0.5:8080"]],
      }),
    secrets: z
      .array(
        z.string({ error: "must be the name of a secret" }).regex(SECRET_NAME, {
          error: "must be the name of a secret: letters, digits and underscores, no digit first, at most 100",
        }),
      )
      .max(100)
      .prefault([])
      .meta({
        description: "Secrets of the gateway that it may read with `ctx.secret`; `millrace secrets set NAME` sets one.",
        examples: [["API_KEY"]],
      }),
  })
  .prefault({})
  .meta({ description: "What it may let out and take in; anything else fails the message with PERMISSION_DENIED." });

const envSchema = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: "names have letters, digits and underscores and do not start with a digit" }),
    z
      .string({ error: (issue) => `must be text${isScalarValue(issue.input) ? `; write it in quotes: "${String(issue.input)}"` : ""}` })
      .max(32_768),
  )
  .prefault({})
  .meta({ description: "Settings that the handler reads in `ctx.env`; all values are text.", examples: [{ HIGH: "80" }] });

function isScalarValue(input: unknown): boolean {
  return typeof input === "number" || typeof input === "boolean";
}

export const manifestFileSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, { error: (issue) => nameProblem(issue.input) })
      .meta({
        description: "Name of the function: lower-case letters, digits and dashes, at most 63, no dash at either end.",
        examples: ["celsius"],
      }),
    api: z
      .literal(1, { error: "must be 1, the only contract version of this Millrace" })
      .meta({ description: "Version of the contract between Millrace and the function." }),
    description: z.string().max(1_000).prefault("").meta({ description: "One sentence for people." }),
    entry: z
      .string()
      .regex(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$))[^\\]*\.(ts|mts|js|mjs)$/, {
        error: "must be a .ts, .mts, .js or .mjs file inside the folder of the function",
      })
      .prefault("index.ts")
      .meta({ description: "The module whose default export is the function, relative to function.yaml." }),
    triggers: triggersSchema,
    key: keySchema,
    order: choice(
      ORDERS,
      "strict",
      "`strict`: a message that waits for its retry holds back those behind it with the same key. `relaxed`: it does not.",
    ),
    batch: batchSchema.optional(),
    idempotency: idempotencySchema.optional(),
    overflow: choice(
      OVERFLOWS,
      "block",
      "At the journal's quota: `block` makes publishers wait; `drop-oldest`, `drop-newest` and `keep-latest` (of each key) drop messages, counted.",
    ),
    outbox: outboxSchema,
    state: stateSchema.optional(),
    concurrency: z.int().min(1).max(64).prefault(1).meta({ description: "Isolates that share the keys, at most. 1 to 64." }),
    warm: z.int().min(0).max(64).prefault(0).meta({
      description: "Isolates that are kept ready when there is nothing to do; not above `concurrency`. 0 to 64.",
    }),
    idle: quantity(DURATION, "60s", { min: "1s", max: "1d" }, "The other isolates are dropped after so long without a message."),
    isolation: choice(
      ISOLATIONS,
      "shared",
      "`shared`: in a host process with other functions, as soon as it has done no harm for a while. `process`: in one of its own (runtime.own_hosts_max).",
    ),
    limits: limitsSchema,
    retry: retrySchema,
    onFailure: onFailureSchema.optional(),
    permissions: permissionsSchema,
    env: envSchema,
  })
  .meta({ title: "Millrace function manifest", description: "function.yaml of a Millrace function." });

function nameProblem(input: unknown): string {
  const near = String(input)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  const rule = "must be lower-case letters, digits and dashes, at most 63, no dash at either end";
  return near === "" ? rule : `${rule}; try "${near}"`;
}

export type ManifestFile = z.infer<typeof manifestFileSchema>;

/** Keys of the design that later versions understand, by the path they stand at (`[]` for a list's items). */
export const NOT_YET: Readonly<Record<string, readonly string[]>> = {
  "": ["secrets"],
};
