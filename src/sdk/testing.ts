/**
 * The test kit, imported as `millrace/testing`: runs a function's handler in plain Node, with what Millrace promises a handler and without a
 * gateway. Limits of time and memory are not applied.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MillraceError, messageOf } from "../core/errors.ts";
import { type FailureReport, reportedPayload } from "../core/failure-report.ts";
import { SHARED_KEY, VERSION_NAME } from "../core/state-value.ts";
import type { Manifest } from "../core/manifest.ts";
import { payloadKey, payloadPath } from "../core/payload-path.ts";
import { topicParams, TopicTrie } from "../core/topic.ts";
import { decodeLevel, type TriggerFilter } from "../core/trigger-topic.ts";
import { filterOf } from "../core/trigger-filters.ts";
import { kindOf } from "../core/triggers.ts";
import { parseManifest } from "../runtime/build/manifest-file.ts";
import { type Arrival, runBatch, sharing } from "./testing-batch.ts";
import { createContext, createInitContext, type ContextParts, type Effects, type TestLog } from "./testing-context.ts";
import { createFetch, type TestFetch } from "./testing-fetch.ts";
import { withGlobals } from "./testing-globals.ts";
import { TestTimers } from "./testing-timers.ts";
import {
  changeMessage,
  createEvent,
  emittedMessage,
  requestMessage,
  type TestEmitted,
  type TestMessage,
  type TestRequest,
  type TestStateChange,
  type TestTick,
  tickMessage,
} from "./testing-event.ts";
import { expiresAt, storedOf, valueOf } from "../runtime/host/guest-stored.ts";
import { type TestAnswer, testAnswer } from "./testing-answer.ts";
import { markStored, migrateFor, versionIn } from "./testing-migrate.ts";
import { applyChanges } from "./testing-state.ts";
import type { BatchDefinition, Fetch, FunctionDefinition, FunctionEvent, StateValue } from "./index.ts";

export type { TestAnswer } from "./testing-answer.ts";
export { readRecording, type ReadRecordingOptions, type RecordedTestMessage } from "./testing-recording.ts";
export type { TestFetch } from "./testing-fetch.ts";
export type { TestEmitted, TestMessage, TestRequest, TestStateChange, TestTick } from "./testing-event.ts";
export type { TestEvent, TestLog, TestPublish } from "./testing-context.ts";

/** Whether what a handler threw sends the message to the dead letters at once, without a retry. */
export function isPermanent(error: unknown): boolean {
  const mayPass = error instanceof MillraceError && ["FETCH_FAILED", "SECRET_MISSING"].includes(error.code);
  return (error instanceof MillraceError && !mayPass) || (error instanceof Error && error.name === "PermanentError");
}

/** State by key and name, such as `{ "boiler-1": { on: true } }`. */
export type TestState = Readonly<Record<string, Readonly<Record<string, StateValue>>>>;

export interface TestOptions {
  /** The folder that holds function.yaml, usually `import.meta.dirname`. */
  readonly folder?: string;
  /** The text of a function.yaml, instead of `folder`. With neither, every topic wakes the function, and it may publish and fetch anywhere. */
  readonly manifest?: string;
  /** Settings over those of the manifest. */
  readonly env?: Readonly<Record<string, string>>;
  readonly state?: TestState;
  /** `state.version` of the code that has stored `state` and `shared`; that of the manifest unless given. What is older, `migrate` brings along. */
  readonly stateVersion?: number;
  /** Answers what the function fetches, from hosts that its manifest allows. Without it every fetch fails with FETCH_FORBIDDEN. */
  readonly fetch?: TestFetch;
  /** By name; those of the manifest that are not here are missing. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** What all keys see, by name. */
  readonly shared?: TestState[string];
}

/** What one message did. */
export type TestResult = Pick<Effects, "publishes" | "events" | "logs">;

/** What the messages of a batch did together. */
export interface TestBatchResult extends TestResult {
  /** The ids of those that failed, in the order in which `batch` returned them. */
  readonly failed: readonly string[];
}

export interface FunctionHarness {
  /**
   * Handles one message; the first one after `init`. State is kept for the next one; messages are handled one after the other, in the order of the calls.
   * @throws What `init` or the handler threw; its effects are dropped then. If the message is given up because of that (`attempt` was the last one,
   * or the failure is for good), `all` has what `onFailure` wants. Error when no trigger matches the topic.
   */
  send(message: TestMessage): Promise<TestResult>;
  /**
   * Handles the messages that a trigger matches and passes over the others, which a recording of a whole gateway is full of. Resolves with
   * what each did.
   * @throws What the first handler threw that did.
   */
  sendAll(messages: Iterable<TestMessage> | AsyncIterable<TestMessage>): Promise<TestResult[]>;
  /**
   * Hands all of these messages to `batch` in one call, which a gateway does with what comes within `batch.window`.
   * @throws What `init` or `batch` threw; a gateway would then hand the messages over one by one.
   */
  sendBatch(messages: readonly TestMessage[]): Promise<TestBatchResult>;
  /**
   * Handles a tick of a schedule of the function, which is not waited for.
   * @throws What the handler threw; Error when the function has no schedule of that name.
   */
  tick(tick?: TestTick): Promise<TestResult>;
  /**
   * Handles an event that another function has emitted.
   * @throws What the handler threw; Error when no trigger matches its type.
   */
  emitted(event: TestEmitted): Promise<TestResult>;
  /**
   * Handles a request, and resolves with what its caller would get too; 202 where the route answers `accepted`.
   * @throws What the handler threw; Error when no trigger takes such a request.
   */
  request(request: TestRequest): Promise<TestResult & { readonly answer: TestAnswer }>;
  /**
   * Handles the news that a value in the function's state has changed, under its key. What handlers store in a test does not wake by itself.
   * @throws What the handler threw; Error when no trigger matches key and name.
   */
  changed(change: TestStateChange): Promise<TestResult>;
  /** What is stored for `key` now and has not expired by the time of the newest message. */
  state(key: string): Record<string, unknown>;
  /** The same of what all keys see. */
  shared(): Record<string, unknown>;
  /** Everything published and emitted so far by handlers that did not throw, and everything logged by any. */
  readonly all: TestResult;
}

const ANY = "name: test\napi: 1\ntriggers:\n  - mqtt: '#'\npermissions:\n  publish: ['#']\n";

/**
 * @throws MillraceError MANIFEST_INVALID; Error when `folder` has no function.yaml.
 */
export function testFunction<T>(definition: FunctionDefinition<T> | BatchDefinition<T>, options: TestOptions = {}): FunctionHarness {
  return new Harness(definition, readManifest(options), options);
}

function readManifest({ folder, manifest }: TestOptions): Manifest {
  if (folder === undefined) return parseManifest(manifest ?? ANY, "manifest");
  const file = join(folder, "function.yaml");
  return parseManifest(readFileSync(file, "utf8"), file);
}

class Harness<T> implements FunctionHarness {
  readonly #definition: FunctionDefinition<T> | BatchDefinition<T>;
  readonly #manifest: Manifest;
  readonly #filters: readonly TriggerFilter[];
  readonly #routes = new TopicTrie<TriggerFilter>();
  /** Values as the journal keeps them. */
  readonly #state = new Map<string, Map<string, string>>();
  readonly #publishes: Effects["publishes"] = [];
  readonly #events: Effects["events"] = [];
  readonly #logs: TestLog[] = [];
  readonly #fetch: Fetch;
  readonly #secrets: Readonly<Record<string, string>>;
  #seq = 0;
  /** The time of the newest message. */
  #newest = -Infinity;
  #ready = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(definition: FunctionDefinition<T> | BatchDefinition<T>, manifest: Manifest, options: TestOptions) {
    const { env, state, shared, fetch, secrets = {}, stateVersion = versionIn(manifest) } = options;
    this.#secrets = secrets;
    const isBare = options.folder === undefined && options.manifest === undefined;
    this.#definition = definition;
    const permissions = isBare ? { ...manifest.permissions, secrets: Object.keys(secrets) } : manifest.permissions;
    this.#manifest = { ...manifest, permissions, env: { ...manifest.env, ...env } };
    this.#filters = manifest.triggers.map((trigger) => filterOf(trigger, manifest.name));
    for (const filter of this.#filters) this.#routes.add(filter, filter);
    this.#fetch = createFetch({ name: manifest.name, http: isBare ? undefined : manifest.permissions.http, fetch });
    for (const [key, values] of Object.entries({ ...state, [SHARED_KEY]: shared ?? {} })) {
      const entries = Object.entries(values).map(([name, value]): [string, string] => [name, storedOf(value, undefined, 0)]);
      const kept = new Map(entries);
      markStored(kept, stateVersion);
      this.#state.set(key, kept);
    }
  }

  get all(): TestResult {
    return { publishes: this.#publishes, events: this.#events, logs: this.#logs };
  }

  state(key: string): Record<string, unknown> {
    const all = [...(this.#state.get(key) ?? [])];
    const there = all.filter(([name, stored]) => name !== VERSION_NAME && expiresAt(stored) > this.#newest);
    return Object.fromEntries(there.map(([name, stored]) => [name, valueOf(stored, this.#newest)]));
  }

  shared(): Record<string, unknown> {
    return this.state(SHARED_KEY);
  }

  send(message: TestMessage): Promise<TestResult> {
    return this.#deliver(message, () => undefined);
  }

  #deliver(message: TestMessage, returned: (value: unknown) => void): Promise<TestResult> {
    return this.#inTurn(() => this.#handle(message, returned));
  }

  sendBatch(messages: readonly TestMessage[]): Promise<TestBatchResult> {
    return this.#inTurn(() => this.#handleBatch(messages));
  }

  #inTurn<R>(run: () => Promise<R>): Promise<R> {
    const result = this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  async tick(tick: TestTick = {}): Promise<TestResult> {
    const message = tickMessage(this.#manifest.name, tick);
    if (this.#triggerOf(message.topic) === -1)
      throw new Error(`function "${this.#manifest.name}" has no schedule with the name "${tick.name ?? "default"}"`);
    return this.send(message);
  }

  emitted(event: TestEmitted): Promise<TestResult> {
    return this.send(emittedMessage(event));
  }

  async request(request: TestRequest): Promise<TestResult & { readonly answer: TestAnswer }> {
    const message = requestMessage(this.#manifest.name, request);
    const trigger = this.#manifest.triggers[this.#triggerOf(message.topic)];
    const accepted = trigger !== undefined && "http" in trigger && trigger.answer === "accepted";
    let answer: TestAnswer = { status: 202, headers: {}, body: "" };
    const result = await this.#deliver(message, (returned) => {
      if (!accepted) answer = testAnswer(returned);
    });
    return { ...result, answer };
  }

  changed(change: TestStateChange): Promise<TestResult> {
    return this.send(changeMessage(this.#manifest.name, change));
  }

  /** Place in the manifest's list of the first trigger that the topic wakes; -1 when there is none. */
  #triggerOf(topic: string): number {
    const matching = this.#routes.match(topic);
    return this.#filters.findIndex((filter) => matching.has(filter) && filter.accepts?.(topic) !== false);
  }

  async sendAll(messages: Iterable<TestMessage> | AsyncIterable<TestMessage>): Promise<TestResult[]> {
    const results: TestResult[] = [];
    for await (const message of messages) {
      if (this.#triggerOf(message.topic) !== -1) results.push(await this.send(message));
    }
    return results;
  }

  async #handle(message: TestMessage, returned: (value: unknown) => void): Promise<TestResult> {
    const definition = this.#definition;
    if ("batch" in definition && this.#manifest.batch !== undefined) return this.#handleBatch([message]);
    if (!("handler" in definition)) throw new TypeError('the function has no handler, and its manifest no "batch"');
    await this.#init();
    const arrival = this.#arrive(message);
    const { event, effects } = arrival;
    try {
      await this.#migrate([arrival]);
      returned(await this.#run(effects, () => definition.handler(event, createContext({ ...arrival, ...this.#parts }))));
    } catch (error) {
      this.#fail(arrival, error);
      throw error;
    } finally {
      this.#logs.push(...effects.logs);
    }
    this.#keep(effects);
    const { publishes, events, logs } = effects;
    return { publishes, events, logs };
  }

  async #handleBatch(messages: readonly TestMessage[]): Promise<TestBatchResult> {
    const definition = this.#definition;
    if (!("batch" in definition)) throw new TypeError("the function has no batch");
    await this.#init();
    const arrivals = messages.map((message) => this.#arrive(message));
    const shares = sharing(arrivals);
    try {
      await this.#migrate(shares);
      const { whole, failed } = await this.#run({ logs: this.#logs }, () => runBatch(shares, definition, this.#parts));
      const done = shares.filter((share) => !failed.has(share));
      for (const { effects } of done) this.#keep({ ...effects, state: [] });
      if (done.length > 0) this.#keep(whole);
      for (const [share, error] of failed) this.#fail(share, error);
      this.#logs.push(...whole.logs, ...shares.flatMap(({ effects }) => effects.logs));
      const all = done.length > 0 ? [...done.map(({ effects }) => effects), whole] : [];
      return {
        publishes: all.flatMap(({ publishes }) => publishes),
        events: all.flatMap(({ events }) => events),
        logs: [...whole.logs, ...shares.flatMap(({ effects }) => effects.logs)],
        failed: [...failed.keys()].map(({ event }) => event.id),
      };
    } catch (error) {
      const [only] = shares;
      if (shares.length === 1 && only !== undefined) this.#fail(only, error);
      throw error;
    }
  }

  async #init(): Promise<void> {
    const to = { logs: this.#logs };
    if (!this.#ready) await this.#run(to, () => this.#definition.init?.(createInitContext(this.#parts, to)));
    this.#ready = true;
  }

  /** Runs code of the function with the globals that it finds in an isolate; timers end with it. */
  async #run<R>({ logs }: Pick<Effects, "logs">, run: () => R | Promise<R>): Promise<R> {
    const timers = new TestTimers((message) => logs.push({ level: "error", message }));
    try {
      return await withGlobals({ fetch: this.#fetch, timers }, run);
    } finally {
      timers.end();
    }
  }

  async #migrate(arrivals: readonly Arrival<T>[]): Promise<void> {
    const parts = { definition: this.#definition, manifest: this.#manifest, stored: this.#state };
    for (const arrival of arrivals) await migrateFor(arrival, parts);
  }

  #arrive(message: TestMessage): Arrival<T> {
    const seq = ++this.#seq;
    const { name } = this.#manifest;
    const index = this.#triggerOf(message.topic);
    const [trigger, filter] = [this.#manifest.triggers[index], this.#filters[index]];
    if (trigger === undefined || filter === undefined) throw new Error(`no trigger of function "${name}" matches topic "${message.topic}"`);
    const found = Object.entries(topicParams(filter, message.topic));
    const isRequest = "http" in trigger;
    const params = { ...Object.fromEntries(found.map(([at, value]) => [at, isRequest ? decodeLevel(value) : value])), ...message.params };
    const event = createEvent<T>({ type: kindOf(trigger), message, seq, params, name });
    this.#newest = Math.max(this.#newest, event.time);
    const key = filter.keyOf?.(message.topic) ?? this.#keyOf(event);
    const effects: Effects = { publishes: [], events: [], logs: [], state: [] };
    return { event, seq, key, effects };
  }

  get #parts(): ContextParts {
    return { manifest: this.#manifest, stored: this.#state, fetch: this.#fetch, secrets: this.#secrets };
  }

  #keyOf({ params, mqtt, bytes }: FunctionEvent<T>): string {
    const path = payloadPath(this.#manifest.key);
    // A wildcard that stands for nothing orders nothing, so the topic takes its place.
    if (path === undefined) return params[this.#manifest.key ?? ""] || mqtt.topic;
    const found = payloadKey({ payload: bytes, properties: mqtt.properties }, path);
    if ("problem" in found) throw new MillraceError("KEY_MISSING", found.problem);
    return found.key;
  }

  #fail({ event, key }: Arrival<T>, error: unknown): void {
    if (isPermanent(error) || event.attempt >= this.#manifest.retry.attempts) this.#giveUp({ event, key, error });
  }

  /** What `onFailure` of the manifest wants. */
  #giveUp({ event, key, error }: { event: FunctionEvent<T>; key: string; error: unknown }): void {
    const { onFailure, name } = this.#manifest;
    const { topic } = event.mqtt;
    const report: FailureReport = {
      id: event.id,
      gateway: "test",
      function: name,
      version: 1,
      attempts: event.attempt,
      code: error instanceof MillraceError ? error.code : "FUNCTION_THREW",
      error: messageOf(error),
      topic,
      key,
      time: event.time,
      source: event.source,
      ...reportedPayload(event.bytes),
    };
    if (onFailure?.emit !== undefined) this.#events.push({ type: onFailure.emit, subject: topic, time: event.time, data: report });
    if (onFailure?.publish !== undefined) this.#publishes.push({ topic: onFailure.publish, payload: report, qos: 1, retain: false });
  }

  #keep({ publishes, events, state }: Effects): void {
    this.#publishes.push(...publishes);
    this.#events.push(...events);
    for (const change of state)
      this.#state.set(change.key, applyChanges(this.#state.get(change.key) ?? new Map<string, string>(), [change]));
    for (const { key } of state) markStored(this.#state.get(key) ?? new Map<string, string>(), versionIn(this.#manifest));
  }
}
