import { MillraceError } from "../core/errors.ts";
import { compilePermissions, type Manifest } from "../core/manifest.ts";
import type { LogLevel } from "../core/stats.ts";
import { topicProblem } from "../core/topic.ts";
import { formatSize } from "../core/units.ts";
import { effectsMaxOf } from "../runtime/host/guest-effect-limit.ts";
import type { Fetch, FunctionContext, FunctionEvent, FunctionLog, InitContext } from "./index.ts";
import { createState, jsonOf, type StateChange, type TestStore } from "./testing-state.ts";

export interface TestPublish {
  readonly topic: string;
  /** Text and bytes as they were given, any other value as its JSON reads back. */
  readonly payload: unknown;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

export interface TestEvent {
  readonly type: string;
  readonly subject: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** As its JSON reads back. */
  readonly data: unknown;
}

export interface TestLog {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** What one handler wants so far. */
export interface Effects {
  readonly publishes: TestPublish[];
  readonly events: TestEvent[];
  readonly logs: TestLog[];
  readonly state: StateChange[];
}

/** What the contexts of all messages have in common. */
export interface ContextParts {
  readonly stored: TestStore;
  readonly manifest: Manifest;
  readonly fetch: Fetch;
  readonly secrets: Readonly<Record<string, string>>;
}

interface Invocation extends ContextParts {
  readonly event: FunctionEvent;
  readonly effects: Effects;
  readonly key: string;
  readonly seq: number;
  /** Shared by messages that are handled at once. */
  readonly spend?: Spend;
}

export function createContext(invocation: Invocation): FunctionContext {
  const { event, effects, manifest, seq } = invocation;
  const spend = invocation.spend ?? outputBudget(manifest);
  return {
    state: createState({
      stored: invocation.stored,
      changes: effects.state,
      now: event.time,
      key: invocation.key,
      functionName: manifest.name,
      mayShare: manifest.concurrency === 1,
      valueBytesMax: manifest.limits.stateValueBytes,
      spend,
    }),
    ...createOutlets(invocation, spend),
    fetch: invocation.fetch,
    secret: (name) => Promise.resolve().then(() => secretOf(name, invocation)),
    log: createLog(effects),
    env: manifest.env,
    now: () => event.time,
    deadline: Date.now() + manifest.limits.wallMs,
    invocation: `${seq}.${event.attempt}`,
    function: { name: manifest.name, version: 1 },
  };
}

/** What belongs to no message. */
export function createBareContext(manifest: Manifest, effects: Pick<Effects, "logs">): Omit<InitContext, "secret"> {
  return { env: manifest.env, function: { name: manifest.name, version: 1 }, log: createLog(effects) };
}

/** What `init` gets. */
export function createInitContext(parts: Pick<ContextParts, "manifest" | "secrets">, effects: Pick<Effects, "logs">): InitContext {
  const secret = (name: string): Promise<string> => Promise.resolve().then(() => secretOf(name, parts));
  return { ...createBareContext(parts.manifest, effects), secret };
}

/** Takes what an effect consists of; one in the place of another is no effect more. */
export type Spend = (texts: readonly (string | Uint8Array)[], effects?: 0 | 1) => void;

/** Everything that `messages` publish, emit and store in one call counts against one limit. */
export function outputBudget({ limits }: Manifest, messages = 1): Spend {
  let left = limits.outputBytes;
  const effectsMax = effectsMaxOf(limits.outputBytes) * messages;
  let spent = 0;
  return (texts, effects = 1) => {
    for (const text of texts) left -= typeof text === "string" ? Buffer.byteLength(text) : text.length;
    if (left < 0) throw new MillraceError("LIMIT_OUTPUT", `one message produced more than ${formatSize(limits.outputBytes)}`);
    spent += effects;
    if (spent <= effectsMax) return;
    const why = `one message produced more than ${effectsMax} publishes, events and stored values; limits.output allows one for each KB`;
    throw new MillraceError("LIMIT_OUTPUT", why);
  };
}

function createOutlets({ event, effects, manifest }: Invocation, spend: Spend): Pick<FunctionContext, "publish" | "emit"> {
  const permissions = compilePermissions(manifest.permissions);
  return {
    publish(topic, payload, { qos = 1, retain = false } = {}): void {
      const problem = topicProblem(topic);
      if (problem !== undefined) throw new TypeError(`cannot publish to "${topic}": ${problem}`);
      if (!permissions.mayPublish(topic))
        throw new MillraceError("PERMISSION_DENIED", `permissions.publish of function.yaml does not allow "${topic}"`);
      const asIs = typeof payload === "string" || payload instanceof Uint8Array;
      const sent = asIs ? payload : jsonOf(payload);
      spend([topic, sent]);
      effects.publishes.push({ topic, payload: asIs ? payload : JSON.parse(String(sent)), qos, retain });
    },
    emit(type, data, { subject = event.subject } = {}): void {
      if (type.length === 0 || type.length > 200) throw new TypeError("the type of an event is a text of 1 to 200 characters");
      if (!permissions.mayEmit(type))
        throw new MillraceError("PERMISSION_DENIED", `permissions.emit of function.yaml does not allow "${type}"`);
      const json = jsonOf(data);
      spend([json]);
      effects.events.push({ type, subject, time: event.time, data: JSON.parse(json) });
    },
  };
}

function secretOf(name: string, { manifest, secrets }: Pick<ContextParts, "manifest" | "secrets">): string {
  if (!manifest.permissions.secrets.includes(name)) {
    throw new MillraceError("PERMISSION_DENIED", `permissions.secrets of function.yaml does not name "${name}"`);
  }
  const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
  if (value !== undefined) return value;
  throw new MillraceError("SECRET_MISSING", `the test gives no secret "${name}": testFunction(definition, { secrets: { ${name}: "…" } })`);
}

const LOG_LINES_MAX = 100;

/** As on a gateway, the last line says how many are left out. */
function createLog({ logs }: Pick<Effects, "logs">): FunctionLog {
  let leftOut = 0;
  const line =
    (level: LogLevel) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (logs.length < LOG_LINES_MAX) logs.push({ level, message, ...(fields === undefined ? {} : { fields }) });
      else logs[LOG_LINES_MAX] = { level: "warn", message: `LIMIT_LOG: ${++leftOut} more lines of this message are left out` };
    };
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}
