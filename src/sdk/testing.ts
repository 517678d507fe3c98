/**
 * The test kit, imported as `millrace/testing`: runs a function's handler in plain Node, with what Millrace promises a handler and without a
 * gateway. Limits of time and memory are not applied.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "../core/errors.ts";
import { SHARED_KEY } from "../core/state-value.ts";
import type { Manifest } from "../core/manifest.ts";
import { parseTopicFilter, topicParams, TopicTrie, type TopicFilter } from "../core/topic.ts";
import { parseManifest } from "../runtime/build/manifest-file.ts";
import { createContext, type Effects, type TestLog } from "./testing-context.ts";
import { createFetch, type TestFetch, withGlobalFetch } from "./testing-fetch.ts";
import { createEvent, type TestMessage } from "./testing-event.ts";
import { expiresAt, storedOf, valueOf } from "../runtime/host/guest-stored.ts";
import { applyChanges } from "./testing-state.ts";
import type { Fetch, FunctionDefinition, StateValue } from "./index.ts";

export { readRecording, type ReadRecordingOptions, type RecordedTestMessage } from "./testing-recording.ts";
export type { TestFetch } from "./testing-fetch.ts";
export type { TestMessage } from "./testing-event.ts";
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
  /** Answers what the function fetches, from hosts that its manifest allows. Without it every fetch fails with FETCH_FORBIDDEN. */
  readonly fetch?: TestFetch;
  /** By name; those of the manifest that are not here are missing. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** What all keys see, by name. */
  readonly shared?: TestState[string];
}

/** What one message did. */
export type TestResult = Pick<Effects, "publishes" | "events" | "logs">;

export interface FunctionHarness {
  /**
   * Handles one message. State is kept for the next one; messages are handled one after the other, in the order of the calls.
   * @throws What the handler threw; its effects are dropped then. Error when no trigger matches the topic.
   */
  send(message: TestMessage): Promise<TestResult>;
  /**
   * Handles the messages that a trigger matches and passes over the others, which a recording of a whole gateway is full of. Resolves with
   * what each did.
   * @throws What the first handler threw that did.
   */
  sendAll(messages: Iterable<TestMessage> | AsyncIterable<TestMessage>): Promise<TestResult[]>;
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
export function testFunction<T>(definition: FunctionDefinition<T>, options: TestOptions = {}): FunctionHarness {
  return new Harness(definition, readManifest(options), options);
}

function readManifest({ folder, manifest }: TestOptions): Manifest {
  if (folder === undefined) return parseManifest(manifest ?? ANY, "manifest");
  const file = join(folder, "function.yaml");
  return parseManifest(readFileSync(file, "utf8"), file);
}

class Harness<T> implements FunctionHarness {
  readonly #definition: FunctionDefinition<T>;
  readonly #manifest: Manifest;
  readonly #triggers: readonly TopicFilter[];
  readonly #routes = new TopicTrie<TopicFilter>();
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
  #last: Promise<unknown> = Promise.resolve();

  constructor(definition: FunctionDefinition<T>, manifest: Manifest, options: TestOptions) {
    const { env, state, shared, fetch, secrets = {} } = options;
    this.#secrets = secrets;
    const isBare = options.folder === undefined && options.manifest === undefined;
    this.#definition = definition;
    const permissions = isBare ? { ...manifest.permissions, secrets: Object.keys(secrets) } : manifest.permissions;
    this.#manifest = { ...manifest, permissions, env: { ...manifest.env, ...env } };
    this.#triggers = manifest.triggers.map(({ mqtt }) => parseTopicFilter(mqtt));
    for (const trigger of this.#triggers) this.#routes.add(trigger, trigger);
    this.#fetch = createFetch({ name: manifest.name, http: isBare ? undefined : manifest.permissions.http, fetch });
    for (const [key, values] of Object.entries({ ...state, [SHARED_KEY]: shared ?? {} })) {
      const entries = Object.entries(values).map(([name, value]): [string, string] => [name, storedOf(value, undefined, 0)]);
      this.#state.set(key, new Map(entries));
    }
  }

  get all(): TestResult {
    return { publishes: this.#publishes, events: this.#events, logs: this.#logs };
  }

  state(key: string): Record<string, unknown> {
    const there = [...(this.#state.get(key) ?? [])].filter(([, stored]) => expiresAt(stored) > this.#newest);
    return Object.fromEntries(there.map(([name, stored]) => [name, valueOf(stored, this.#newest)]));
  }

  shared(): Record<string, unknown> {
    return this.state(SHARED_KEY);
  }

  send(message: TestMessage): Promise<TestResult> {
    const run = (): Promise<TestResult> => this.#handle(message);
    const result = this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  async sendAll(messages: Iterable<TestMessage> | AsyncIterable<TestMessage>): Promise<TestResult[]> {
    const results: TestResult[] = [];
    for await (const message of messages) {
      if (this.#routes.match(message.topic).size > 0) results.push(await this.send(message));
    }
    return results;
  }

  async #handle(message: TestMessage): Promise<TestResult> {
    const seq = ++this.#seq;
    const matching = this.#routes.match(message.topic);
    const trigger = this.#triggers.find((candidate) => matching.has(candidate));
    if (trigger === undefined) throw new Error(`no trigger of function "${this.#manifest.name}" matches topic "${message.topic}"`);
    const params = { ...topicParams(trigger, message.topic), ...message.params };
    // A wildcard that stands for nothing orders nothing, so the topic takes its place.
    const key = params[this.#manifest.key ?? ""] || message.topic;
    const event = createEvent<T>({ message, seq, params, name: this.#manifest.name });
    this.#newest = Math.max(this.#newest, event.time);
    const effects: Effects = { publishes: [], events: [], logs: [], state: [] };
    const ctx = createContext({
      event,
      effects,
      key,
      stored: this.#state,
      manifest: this.#manifest,
      seq,
      fetch: this.#fetch,
      secrets: this.#secrets,
    });
    try {
      await withGlobalFetch(this.#fetch, () => this.#definition.handler(event, ctx));
    } finally {
      this.#logs.push(...effects.logs);
    }
    this.#commit(effects);
    const { publishes, events, logs } = effects;
    return { publishes, events, logs };
  }

  #commit({ publishes, events, state }: Effects): void {
    this.#publishes.push(...publishes);
    this.#events.push(...events);
    for (const change of state)
      this.#state.set(change.key, applyChanges(this.#state.get(change.key) ?? new Map<string, string>(), [change]));
  }
}
