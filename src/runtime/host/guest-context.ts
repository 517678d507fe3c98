import { CALL_SECRET } from "./guest-call-kinds.ts";
import { calls } from "./guest-calls.ts";
import { toBytes, u16, u32, u48 } from "./guest-codec.ts";
import { type Effects, type GuestLog, logOf, printable } from "./guest-effects.ts";
import type { GuestEvent } from "./guest-event.ts";
import { fetchThrough } from "./guest-fetch.ts";
import type { StateCache } from "./guest-state.ts";
import { type StateView, stateView } from "./guest-state-view.ts";
import { SHARED_KEY } from "./guest-state-names.ts";
import type { GuestOptions } from "./guest-types.ts";
import { filterMatches, jsonOf, LimitError, payloadBytes } from "./guest-values.ts";

export interface ContextParts {
  readonly options: GuestOptions;
  readonly state: StateCache;
  readonly startedAt: number;
}

/** The `ctx` of `init`, which belongs to no message: nothing in it takes effect outside of the isolate but what it logs. */
export function initContext(options: GuestOptions, effects: Effects): object {
  const { env, name, version } = options;
  return { env, function: { name, version }, log: logOf(effects), secret: (asked: unknown) => secretOf(asked, options) };
}

/** The `ctx` of one message. Its functions are bound, so a handler may take them apart: `handler(event, { state, publish })`. */
export class Context {
  readonly #event: GuestEvent;
  readonly #effects: Effects;
  readonly #parts: ContextParts;
  #state: (StateView & { readonly shared: StateView }) | undefined;
  #shared: StateView | undefined;

  constructor(event: GuestEvent, effects: Effects, parts: ContextParts) {
    this.#event = event;
    this.#effects = effects;
    this.#parts = parts;
  }

  get env(): Readonly<Record<string, string>> {
    return this.#parts.options.env;
  }
  get deadline(): number {
    return this.#parts.startedAt + this.#parts.options.wallMs;
  }
  get invocation(): string {
    return this.#event.invocation;
  }
  get function(): { name: string; version: number } {
    return { name: this.#parts.options.name, version: this.#parts.options.version };
  }
  get now(): () => number {
    return () => this.#event.time;
  }
  get log(): GuestLog {
    return logOf(this.#effects);
  }
  get publish(): (topic: unknown, payload: unknown, delivery?: Delivery) => void {
    return (topic, payload, delivery) => this.#publish(topic, payload, delivery ?? {});
  }
  get emit(): (type: unknown, data: unknown, about?: { subject?: unknown }) => void {
    return (type, data, about) => this.#emit(type, data, about?.subject ?? this.#event.subject);
  }
  get fetch(): typeof fetchThrough {
    return fetchThrough;
  }
  get secret(): (name: unknown) => Promise<string> {
    return (name) => secretOf(name, this.#parts.options);
  }
  get state(): StateView & { readonly shared: StateView } {
    this.#parts.state.used = true;
    const shared = (): StateView => this.#sharedState();
    return (this.#state ??= Object.defineProperty(this.#view(this.#event.key), "shared", { get: shared }) as StateView & {
      shared: StateView;
    });
  }

  #sharedState(): StateView {
    const { state, options } = this.#parts;
    if (!options.shared) {
      const message = `function "${options.name}" has several isolates, which would not see what one of them writes; set \`concurrency: 1\``;
      throw new LimitError("STATE_NOT_SHARED", message);
    }
    state.usedShared = true;
    return (this.#shared ??= this.#view(SHARED_KEY));
  }

  #view(key: string): StateView {
    const { state, options } = this.#parts;
    const valueBytesMax = options.stateValueBytes;
    return stateView({ cache: state, effects: this.#effects, key, now: this.#event.time, functionName: options.name, valueBytesMax });
  }

  #publish(topic: unknown, payload: unknown, { qos = 1, retain = false }: Delivery): void {
    const { options } = this.#parts;
    const topicBytes = checkTopic(topic, options.publish);
    if (qos !== 0 && qos !== 1 && qos !== 2) throw new TypeError(`qos is 0, 1 or 2, not ${printable(qos)}`);
    const payloadText = payloadBytes(payload);
    const source = `fn:${options.name}`;
    const flags = String.fromCharCode(qos | (retain === true ? 4 : 0), Math.min(this.#event.hops + 1, 255));
    const rest = `${flags}${u48(this.#event.time)}${u16(topicBytes.length)}${topicBytes}${u16(source.length)}${source}${payloadText}`;
    this.#effects.publish(u32(rest.length) + rest);
  }

  #emit(type: unknown, data: unknown, subject: unknown): void {
    const { options } = this.#parts;
    if (typeof type !== "string" || type.length === 0 || type.length > 200) {
      throw new TypeError("the type of an event is a text of 1 to 200 characters");
    }
    if (!options.emit.some((allowed) => allowed === type || (allowed.endsWith("*") && type.startsWith(allowed.slice(0, -1))))) {
      throw new LimitError("PERMISSION_DENIED", `emitting "${type}" is not allowed by permissions.emit`);
    }
    const [typeBytes, subjectBytes, bytes] = [toBytes(type), toBytes(printable(subject).slice(0, 1024)), toBytes(jsonOf(data))];
    this.#effects.emit(u16(typeBytes.length) + typeBytes + u16(subjectBytes.length) + subjectBytes + u32(bytes.length) + bytes);
  }
}

/** Asked for each time, so that a secret is in the isolate only where it is used, and a new value counts at once. */
async function secretOf(name: unknown, { secrets }: GuestOptions): Promise<string> {
  if (typeof name !== "string" || !secrets.includes(name)) {
    throw new LimitError("PERMISSION_DENIED", `the secret ${printable(name)} is not named by permissions.secrets`);
  }
  const { head } = await calls.ask({ what: CALL_SECRET, head: name });
  return (head as { readonly value: string }).value;
}

interface Delivery {
  readonly qos?: unknown;
  readonly retain?: unknown;
}

/** Topics that this isolate has found allowed, with their bytes. */
export const permittedTopics = new Map<unknown, string>();

function checkTopic(topic: unknown, allowed: readonly string[]): string {
  const known = permittedTopics.get(topic);
  if (known !== undefined) return known;
  if (typeof topic !== "string" || topic.length === 0 || /[+#\0]/.test(topic) || topic.startsWith("$")) {
    throw new TypeError(`"${printable(topic)}" is not a topic that can be published to`);
  }
  const bytes = toBytes(topic);
  if (bytes.length > 65_535 || topic.split("/").length > 100) throw new TypeError("a topic has at most 65,535 bytes and 100 levels");
  if (!allowed.some((filter) => filterMatches(filter, topic))) {
    throw new LimitError("PERMISSION_DENIED", `publishing to "${topic}" is not allowed by permissions.publish`);
  }
  if (permittedTopics.size >= 1_000) permittedTopics.clear();
  permittedTopics.set(topic, bytes);
  return bytes;
}
