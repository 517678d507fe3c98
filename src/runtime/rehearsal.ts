import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import type { HttpAnswer } from "../core/http-call.ts";
import { decodeMessage, encodeMessage, type Message } from "../core/message.ts";
import { storedText, VERSION_NAME } from "../core/state-value.ts";
import type { InvokeResult } from "../core/stats.ts";
import type { TriggerFilter } from "../core/trigger-topic.ts";
import { filterOf } from "../core/trigger-filters.ts";
import { decodeResults, type GuestError, type GuestLog, type ItemEffects, type ItemResult, placeOf } from "./effects.ts";
import { loadSpec } from "./version.ts";
import type { InstanceHandle } from "./guarded-host.ts";
import type { HostPool } from "./hosts.ts";
import { pushItem } from "./item.ts";
import type { AnswerCall } from "./open-calls.ts";
import { Places, SourceMaps, withPlaces } from "./places.ts";
import { keyed, type Route, RouteTable } from "./route.ts";
import { shownValue } from "./shown-value.ts";

type StateReader = (key: string) => Promise<readonly { name: string; value: Buffer }[]>;

export interface RehearsalOptions {
  readonly hosts: HostPool;
  readonly gateway: string;
  readonly version: number;
  /** What the function finds in its state before the first message. */
  readonly state: StateReader;
  /** What it asks the gateway for; refused without this. */
  readonly call?: AnswerCall;
  /** Takes out of what it says what must not be shown. */
  readonly redact?: (text: string) => string;
}

/** What one message would do, and the key that it was handled under. */
export interface Rehearsed extends InvokeResult {
  readonly key: string;
}

const PATIENCE_MAX = 8;

/**
 * A version of a function handles messages in an isolate of its own, and nothing of what it does is committed: what it writes is laid over the
 * state that it was given, so that later messages find it. One message at a time.
 */
export class Rehearsal implements AsyncDisposable {
  readonly #bundle: Bundle;
  readonly #options: RehearsalOptions;
  readonly #places: Places;
  readonly #filters: readonly TriggerFilter[];
  readonly #routes: RouteTable<Bundle>;
  /** Written values by key and name; undefined is deleted. */
  readonly #written = new Map<string, Map<string, Buffer | undefined>>();
  #writtenBytes = 0;
  #instance: InstanceHandle | undefined;
  /** What `init` has logged and nobody was told. */
  readonly #said: GuestLog[] = [];
  #batch = 0;
  #answer: PromiseWithResolvers<ItemResult> | undefined;
  #closed = false;

  private constructor(bundle: Bundle, options: RehearsalOptions) {
    this.#bundle = bundle;
    this.#options = options;
    this.#places = new Places(bundle, new SourceMaps());
    this.#filters = bundle.manifest.triggers.map((trigger) => filterOf(trigger, bundle.manifest.name));
    this.#routes = new RouteTable(
      this.#filters.map((filter, index) => ({ owner: bundle, index, filter, key: bundle.manifest.key, durable: true })),
    );
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  static async open(bundle: Bundle, options: RehearsalOptions): Promise<Rehearsal> {
    const rehearsal = new Rehearsal(bundle, options);
    rehearsal.#instance = await rehearsal.#load();
    return rehearsal;
  }

  matches(topic: string): boolean {
    return this.#routes.match(topic).length > 0;
  }

  /** Undefined when no trigger matches the topic. A handler that fails is a result. @throws MillraceError HOST_CRASHED, NOT_FOUND when closed */
  async handle(message: Message & { readonly seq: number }): Promise<Rehearsed | undefined> {
    const [found] = this.#routes.match(message.topic);
    if (found === undefined) return undefined;
    const route = keyed(found, { record: encodeMessage(message) });
    const startedAt = performance.now();
    const result = route.missing === undefined ? this.#keep(route.key, await this.#run(route, message)) : keyMissing(route.missing);
    return { ...present(this.#placed(result), route.key, performance.now() - startedAt), key: route.key };
  }

  /** One for which there was no processor is tried again, with more time. */
  async #run(route: Route<Bundle>, message: Message & { readonly seq: number }): Promise<ItemResult> {
    for (let patience = 1; ; patience *= 2) {
      const result = await this.#try(route, message, patience);
      const isStarved = result.status === "failed" && result.error.code === "HOST_STARVED";
      if (!isStarved || patience >= PATIENCE_MAX) return result;
    }
  }

  async #try(route: Route<Bundle>, message: Message & { readonly seq: number }, patience: number): Promise<ItemResult> {
    if (this.#closed) throw ended();
    this.#instance ??= await this.#load();
    const { cpuMs, wallMs } = this.#bundle.manifest.limits;
    const answer = Promise.withResolvers<ItemResult>();
    this.#answer = answer;
    this.#instance.run(++this.#batch, { timeoutMs: cpuMs * 2 * patience, wallMs: wallMs * patience, cpuMs }, this.#item(route, message));
    return answer.promise;
  }

  #item(route: Route<unknown>, message: Message & { readonly seq: number }): Uint8Array[] {
    const { seq, topic, time, hops } = message;
    const { key, keyBytes, index: trigger } = route;
    const journaled = { seq, topic, time, hops, record: encodeMessage(message) };
    const tries = { attempt: 1, resume: false, suspect: false, trial: "none", giveUp: "always" } as const;
    const parts: Uint8Array[] = [];
    const handler = { gateway: this.#options.gateway, name: this.#bundle.manifest.name };
    pushItem(parts, { message: journaled, start: seq, trigger, key, keyBytes, ...tries }, handler);
    return parts;
  }

  #load(): Promise<InstanceHandle> {
    const { hosts, gateway, version, call } = this.#options;
    const fault = (code: string, text: string): void => {
      this.#instance = undefined;
      this.#answer?.resolve({ status: "failed", logs: [], error: { code, name: "Error", message: text, stack: "" } });
    };
    const loading = hosts.load(loadSpec(this.#bundle, this.#filters, { version, gateway }), {
      result: (batch, results) => {
        if (batch === this.#batch) this.#answer?.resolve(decodeOne(results));
      },
      said: (logs) => void this.#said.push(...logs),
      ...(call === undefined ? {} : { call }),
      cut: (_batch, cut) => fault(cut.fault.code, cut.fault.message),
      lost: (loss) => fault(loss.fault.code, loss.fault.message),
      stateGet: (request, keys) => {
        const instance = this.#instance;
        this.#readState(keys).then(
          (entries) => instance?.stateLoaded(request, entries),
          (error: unknown) => this.#answer?.reject(error),
        );
      },
    });
    return withPlaces(loading, this.#places, (text) => this.#options.redact?.(text) ?? text);
  }

  #placed(result: ItemResult): ItemResult {
    if (result.status === "deferred") return result;
    const { redact = (text: string): string => text } = this.#options;
    const logs = [...this.#said.splice(0), ...result.logs].map((log) => ({
      ...log,
      message: this.#places.inText(redact(log.message)),
      ...(log.fields === undefined ? {} : { fields: redact(log.fields) }),
    }));
    if (result.status === "done") return { ...result, logs };
    const { message, stack } = result.error;
    return { ...result, logs, error: { ...result.error, message: redact(message), stack: this.#places.inText(redact(stack)) } };
  }

  async #readState(keys: readonly string[]): Promise<string> {
    const entries = await Promise.all(
      keys.map(async (key) => {
        const values = new Map<string, Buffer | undefined>((await this.#options.state(key)).map(({ name, value }) => [name, value]));
        for (const [name, value] of this.#written.get(key) ?? []) values.set(name, value);
        return [key, [...values].flatMap(([name, value]) => (value === undefined ? [] : [[name, storedText(value)]]))] as const;
      }),
    );
    return JSON.stringify(Object.fromEntries(entries));
  }

  /** Takes over what was written. When that is too much, the isolate must not remember it either. */
  #keep(key: string, result: ItemResult): ItemResult {
    if (result.status !== "done" || result.effects.state.length === 0) return result;
    const { stateBytes } = this.#bundle.manifest.limits;
    const writes = result.effects.state.map((write) => ({ ...write, values: this.#valuesOf(placeOf({ key }, write)) }));
    const grown = writes.reduce((sum, { name, value, values }) => sum + sizeOf(name, value) - sizeOf(name, values.get(name)), 0);
    if (this.#writtenBytes + grown > stateBytes) {
      this.#instance?.unload();
      this.#instance = undefined;
      const message = `the replay has written ${this.#writtenBytes} bytes of state, at most ${stateBytes} are allowed`;
      return { status: "failed", logs: result.logs, error: { code: "LIMIT_STATE", name: "Error", message, stack: "" } };
    }
    for (const { name, value, values } of writes) values.set(name, value);
    this.#writtenBytes += grown;
    return result;
  }

  #valuesOf(key: string): Map<string, Buffer | undefined> {
    const values = this.#written.get(key) ?? new Map<string, Buffer | undefined>();
    this.#written.set(key, values);
    return values;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#instance?.unload();
    this.#answer?.promise.catch(() => undefined); // Whoever still waits for it gets the rejection.
    this.#answer?.reject(ended());
    return Promise.resolve();
  }
}

function keyMissing(message: string): ItemResult {
  return { status: "failed", logs: [], error: { code: "KEY_MISSING", name: "Error", message, stack: "" } };
}

function ended(): MillraceError {
  return new MillraceError("NOT_FOUND", "the replay has ended");
}

function sizeOf(name: string, value: Buffer | undefined): number {
  return value === undefined ? 0 : name.length + value.length;
}

function decodeOne(bytes: Buffer): ItemResult {
  const error: GuestError = { code: "FUNCTION_THREW", name: "Error", message: "the isolate gave an answer that cannot be read", stack: "" };
  try {
    return decodeResults(bytes, 1)[0] ?? { status: "failed", logs: [], error };
  } catch {
    return { status: "failed", logs: [], error };
  }
}

function present(result: ItemResult, key: string, durationMs: number): InvokeResult {
  const none: ItemEffects = { state: [], events: [], publishes: [] };
  const effects = result.status === "done" ? result.effects : none;
  return {
    ok: result.status === "done",
    ...(result.status === "done" || result.status === "deferred" ? {} : { error: result.error }),
    state: shownState(effects).map((write) => ({
      key: placeOf({ key }, write),
      name: write.name,
      value: write.value === undefined ? null : shownValue(write.value),
    })),
    publishes: effects.publishes.map((record) => {
      const { topic, payload, qos, retain } = decodeMessage(record);
      return { topic, payload: Buffer.from(payload).toString("utf8"), qos, retain };
    }),
    events: effects.events.map(({ type, subject, data }) => ({ type, subject, data: JSON.parse(data) as unknown })),
    logs:
      result.status === "deferred"
        ? []
        : result.logs.map(({ level, message, fields }) => ({
            level,
            message,
            ...(fields === undefined ? {} : { fields: JSON.parse(fields) as Record<string, unknown> }),
          })),
    ...(result.status === "done" && result.answer !== undefined ? { answer: shownAnswer(result.answer) } : {}),
    durationMs,
  };
}

/** Without the mark of their version, which is no value of the function. */
function shownState({ state }: ItemEffects): ItemEffects["state"] {
  return state.filter(({ name }) => name !== VERSION_NAME);
}

function shownAnswer({ status, headers, body }: HttpAnswer): NonNullable<InvokeResult["answer"]> {
  return { status, headers: headers.map(([name, value]) => [name, value]), body: Buffer.from(body).toString("utf8") };
}
