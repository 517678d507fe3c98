import { z } from "zod";
import { MillraceError } from "../../core/errors.ts";
import type { Manifest } from "../../core/manifest.ts";
import { nearest, suggestion } from "../../core/nearest.ts";
import { formatDuration } from "../../core/units.ts";
import { onFailureSchema, onFailureMistakes } from "./manifest-on-failure.ts";
import {
  batchSchema,
  idempotencySchema,
  manifestFileSchema,
  NOT_YET,
  outboxSchema,
  stateSchema,
  type ManifestFile,
} from "./manifest-schema.ts";
import { type Found, triggerMistakes } from "./trigger-mistakes.ts";
import { normalizeTrigger, triggersSchema } from "./trigger-schema.ts";
import { keyText, readYaml, type Mistake, type Path } from "./yaml-source.ts";

export const MANIFEST_BYTES_MAX = 64 * 1024;

/** A manifest and what only the build needs. */
export interface ParsedManifest {
  readonly manifest: Manifest;
  /** The module to bundle, relative to the folder of the manifest. */
  readonly entry: string;
}

/**
 * Reads the text of a function.yaml; `file` is how its mistakes name it.
 * @throws MillraceError MANIFEST_INVALID with every mistake, one per line, as `file:line: key: what is wrong`.
 */
export function parseManifest(text: string, file: string): Manifest {
  return parseManifestFile(text, file).manifest;
}

/** As `parseManifest`, with the entry. */
export function parseManifestFile(text: string, file: string): ParsedManifest {
  const bytes = Buffer.byteLength(text);
  if (bytes > MANIFEST_BYTES_MAX)
    throw invalid(file, [{ line: 1, key: "file", problem: `${bytes} bytes, at most ${MANIFEST_BYTES_MAX} are allowed` }]);
  const yaml = readYaml(text);
  if (yaml.mistakes.length > 0) throw invalid(file, yaml.mistakes);
  const result = manifestFileSchema.safeParse(yaml.value, { reportInput: true, error: describeIssue });
  const found = [...schemaMistakes(result.error?.issues ?? []), ...triggerMistakes(yaml.value), ...envMistakes(yaml.value)];
  if (result.data !== undefined)
    found.push(
      ...limitMistakes(result.data),
      ...retryMistakes(result.data),
      ...batchMistakes(result.data),
      ...onFailureMistakes(result.data),
    );
  if (result.data === undefined || found.length > 0) {
    throw invalid(
      file,
      found.map(({ path, problem }) => ({ line: yaml.lineOf(path), key: keyText(path), problem })),
    );
  }
  return { manifest: normalize(result.data), entry: result.data.entry };
}

function invalid(file: string, mistakes: readonly Mistake[]): MillraceError {
  const ordered = mistakes.toSorted((a, b) => a.line - b.line);
  const lines = ordered.map(({ line, key, problem }) => `${file}:${line}: ${key === "" ? "" : `${key}: `}${problem}`);
  return new MillraceError("MANIFEST_INVALID", [...new Set(lines)].join("\n"));
}

function normalize(file: ManifestFile): Manifest {
  const {
    name,
    api,
    description,
    triggers,
    key,
    order,
    batch,
    idempotency,
    overflow,
    outbox,
    state,
    concurrency,
    warm,
    idle,
    isolation,
    limits,
    retry,
    onFailure,
    permissions,
    env,
  } = file;
  return {
    name,
    api,
    description,
    triggers: triggers.map(normalizeTrigger),
    ...(key === "topic" ? {} : { key }),
    order,
    ...(batch === undefined ? {} : { batch: { size: batch.size, windowMs: batch.window } }),
    ...(idempotency === undefined
      ? {}
      : { idempotency: { key: idempotency.key, windowMs: idempotency.window, entries: idempotency.entries } }),
    overflow,
    outbox: outbox.map(({ types, priority, ttl, overflow: at }) => ({
      types,
      priority,
      ...(ttl === undefined ? {} : { ttlMs: ttl }),
      overflow: at,
    })),
    ...(state === undefined ? {} : { state }),
    concurrency,
    warm,
    idleMs: idle,
    isolation,
    limits: {
      cpuMs: limits.cpu,
      wallMs: limits.wall,
      initMs: limits.init,
      memoryBytes: limits.memory,
      outputBytes: limits.output,
      stateValueBytes: limits.stateValue,
      stateBytes: limits.state,
      fetchBytes: limits.fetch,
    },
    retry: { attempts: retry.attempts, ...retry.backoff, maxAgeMs: retry.maxAge },
    ...(onFailure === undefined ? {} : { onFailure }),
    permissions,
    env,
  };
}

/** Where the schema has no words of its own. */
function describeIssue(issue: z.core.$ZodRawIssue): string {
  if (issue.code === "invalid_type") {
    const wanted =
      { object: "a group of keys", record: "a group of keys", array: "a list", int: "a whole number" }[issue.expected as string] ??
      `a ${issue.expected}`;
    if (issue.input === undefined) return "is missing";
    return `must be ${wanted}, not ${kindOf(issue.input)}`;
  }
  if (issue.code === "too_small") return `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
  if (issue.code === "too_big") return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
  return "is not valid";
}

function unitOf(origin: string): string {
  return { string: " characters long", array: " entries long" }[origin] ?? "";
}

function kindOf(input: unknown): string {
  if (input === null) return "nothing";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "object") return "a group of keys";
  return JSON.stringify(input);
}

function schemaMistakes(issues: readonly z.core.$ZodIssue[]): Found[] {
  const unknown = issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => unknownKey(issue.path, key)) : [],
  );
  const meant = new Set(unknown.flatMap(({ path, instead }) => instead.map((key) => keyText([...path.slice(0, -1), key]))));
  const mistyped = new Set(unknown.map(({ path }) => keyText(path.slice(0, -1))));
  const rest = issues.flatMap((issue): Found[] => {
    if (issue.code === "unrecognized_keys") return [];
    if (issue.code === "custom" && issue.params?.["missing"] === true && mistyped.has(keyText(issue.path))) return [];
    if (issue.code === "invalid_key") return issue.issues.map(({ message }) => ({ path: issue.path, problem: message }));
    // Whoever mistyped a key need not be told as well that the right one is missing.
    const missing = issue.code === "invalid_type" && issue.input === undefined && meant.has(keyText(issue.path));
    return missing ? [] : [{ path: issue.path, problem: issue.message }];
  });
  return [...unknown, ...rest];
}

/** An unknown key, and the known ones that it stands in for. */
function unknownKey(parent: Path, key: string): Found & { instead: readonly string[] } {
  const path = [...parent, key];
  const place = keyText(parent).replaceAll(/\[\d+\]/g, "[]");
  const known = knownKeys(place);
  if (NOT_YET[place]?.includes(key) === true) {
    return { path, problem: "is not supported by this version of Millrace", instead: [] };
  }
  const near = nearest(key, known);
  return { path, problem: `is not a key of a manifest${suggestion(key, known)}`, instead: near === undefined ? [] : [near] };
}

function knownKeys(place: string): readonly string[] {
  const { shape } = manifestFileSchema;
  const groups: Readonly<Record<string, object>> = {
    "": shape,
    "triggers[]": triggersSchema.element.shape,
    limits: shape.limits.unwrap().shape,
    batch: batchSchema.shape,
    state: stateSchema.shape,
    idempotency: idempotencySchema.shape,
    "outbox[]": outboxSchema.unwrap().element.shape,
    retry: shape.retry.unwrap().shape,
    onFailure: onFailureSchema.shape,
    permissions: shape.permissions.unwrap().shape,
  };
  return Object.keys(groups[place] ?? {});
}

/** Nobody could tell which of the callers in a batch gets what it returns. */
function batchMistakes({ batch, triggers }: ManifestFile): Found[] {
  if (batch === undefined) return [];
  return triggers.flatMap(({ http, answer = "sync" }, index): Found[] => {
    if (http === undefined || answer !== "sync") return [];
    const problem = `with batch no request can be answered; write "answer: accepted" beside "http: ${http}", or leave batch out`;
    return [{ path: ["triggers", index, "http"], problem }];
  });
}

/** The record of zod leaves this one name out without a word. */
function envMistakes(value: unknown): Found[] {
  const { data } = z.object({ env: z.custom<object>((env) => typeof env === "object" && env !== null) }).safeParse(value);
  const found = data !== undefined && Object.hasOwn(data.env, "__proto__");
  return found ? [{ path: ["env", "__proto__"], problem: "is not allowed as a name" }] : [];
}

function limitMistakes({ limits, warm, concurrency }: ManifestFile): Found[] {
  const mistakes: Found[] = [];
  if (warm > concurrency) mistakes.push({ path: ["warm"], problem: `must not be above concurrency, which is ${concurrency}` });
  if (limits.wall < limits.cpu) mistakes.push({ path: ["limits", "wall"], problem: "must not be below limits.cpu" });
  if (limits.state < limits.stateValue) {
    const problem = "must not be below limits.stateValue, which bounds one value; limits.state bounds everything the function keeps";
    mistakes.push({ path: ["limits", "state"], problem });
  }
  return mistakes;
}

/** The second try comes after half of the first wait at the earliest, see `backoffMs`. */
function retryMistakes({ retry: { attempts, backoff, maxAge }, triggers }: ManifestFile): Found[] {
  if (attempts <= 2 || backoff.minMs / 2 <= maxAge || triggers.every(({ schedule }) => schedule !== undefined)) return [];
  const what = `is over before the second of ${attempts} tries, which backoff lets wait for up to ${formatDuration(backoff.minMs)}`;
  return [
    { path: ["retry", "maxAge"], problem: `${what}, so there is no third; raise maxAge, begin backoff lower, or write "attempts: 2"` },
  ];
}
