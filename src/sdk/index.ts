/**
 * What the author of a function imports as `millrace`. Everything here but `defineFunction` and `PermanentError` is types: the bundle of a
 * function carries nothing of Millrace.
 */
import type { Fetch } from "./fetch.ts";

export type { Measurement } from "../core/event.ts";
export type { FailureReport } from "../core/failure-report.ts";
export type { Fetch, FetchHeaders, FetchInit, FetchRequest, FetchResponse, FetchSignal } from "./fetch.ts";

/** What becomes JSON by `JSON.stringify`: text, numbers, true and false, null, lists and plain objects of them. */
export type JsonValue = string | number | boolean | null | object;

/** What `ctx.state` keeps. */
export type StateValue = JsonValue | bigint;

/**
 * One message, as a handler sees it. `T` is the shape that the author expects of `data`; nothing checks it.
 */
export interface FunctionEvent<T = unknown> {
  /** The same for each try of the same message, different for any other: `GATEWAY:SEQ`. */
  readonly id: string;
  /** The MQTT client id that published it, `fn:NAME` for a function, `schedule` or `http`; the source of the event for an event. */
  readonly source: string;
  /** What kind of trigger woke the function. */
  readonly type: EventType;
  /** The topic; for a tick the name of the schedule, for an event its subject, for a change of state `KEY/NAME`, for a request its path, decoded. */
  readonly subject: string;
  /** When the message arrived at the gateway, in milliseconds since the epoch; for a tick when it was due. */
  readonly time: number;
  /**
   * The payload, decoded when it is first read: text when the content type starts with `text/`, bytes when it is
   * `application/octet-stream`, JSON otherwise.
   * @throws Error PAYLOAD_INVALID when it is not JSON; unless the handler catches it, the message goes to the dead letters at once.
   */
  readonly data: T;
  /** The payload as it came. */
  readonly bytes: Uint8Array;
  /** The payload as UTF-8 text; bytes that are none become U+FFFD. */
  readonly text: string;
  /** What the named wildcards of the first trigger that matches stand for in the topic. */
  readonly params: Readonly<Record<string, string>>;
  readonly mqtt: MqttDetails;
  /** When `type` is `http`: the request. Its body is `data`, undefined when it has none; parameters of the path are `params`. */
  readonly http?: HttpRequest | undefined;
  /** When `type` is `event`: the event that a function has emitted; its data is `data`. */
  readonly cloudEvent?: EmittedDetails | undefined;
  /** 1 for the first try, 2 for the first retry, and so on. */
  readonly attempt: number;
  /** When the message names a trace (W3C Trace Context): what comes of it carries it on, also `fetch`. */
  readonly trace?: EventTrace | undefined;
}

/**
 * The trace of a message, with the handling by this function as parent: the same for each try. Events, publishes and fetches carry it by themselves. What
 * the sender said is in `mqtt.properties.user`.
 */
export interface EventTrace {
  /** `00-TRACE-PARENT-FLAGS` */
  readonly traceparent: string;
  /** At most 512 characters. */
  readonly tracestate?: string;
}

export type EventType = "mqtt" | "schedule" | "event" | "state" | "http";

/** The `data` of a tick: `defineFunction<ScheduleTick>`. */
export interface ScheduleTick {
  /** Of the schedule; `default` unless it has another. */
  readonly name: string;
  /** When it was due; RFC 3339. */
  readonly due: string;
  /** How many ticks before it were left out because nothing ran then, counted to 100. */
  readonly missed: number;
}

/** A request for a function. */
export interface HttpRequest {
  readonly method: string;
  /** Below `/fn`, percent-encoded as it came. */
  readonly path: string;
  /** A parameter that is given more than once is a list. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** Names in lower case; `authorization`, `proxy-authorization` and `cookie` are left out, because a message stays on disk. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * What a handler may return for a request that waits for an answer. An object with nothing but these members says what they are; anything
 * else that is returned is the body of a 200, and nothing a 204.
 */
export interface HttpResponse {
  /** 200 to 599; default 200, or 204 without a body. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Text and bytes as they are, anything else as JSON; `content-type` follows unless it is among the headers. */
  readonly body?: JsonValue | Uint8Array;
}

/** The attributes of an event that a function of this gateway has emitted, as in CloudEvents 1.0. */
export interface EmittedDetails {
  readonly id: string;
  /** `/gateways/GATEWAY/functions/FUNCTION` */
  readonly source: string;
  readonly type: string;
  readonly subject: string;
}

/** The `data` of a change of state: `defineFunction<StateChange>`. `ctx.state` holds the value, because the key of the message is this key. */
export interface StateChange {
  readonly key: string;
  readonly name: string;
  readonly deleted: boolean;
}

/** What MQTT said about a message; for others than those of `mqtt` triggers, how it stands in the journal. */
export interface MqttDetails {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: MqttProperties;
}

/** The properties of an MQTT 5 PUBLISH (section 3.3.2.3); empty for older clients. */
export interface MqttProperties {
  readonly contentType?: string;
  readonly responseTopic?: string;
  /** Base64. */
  readonly correlationData?: string;
  readonly user?: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * What a handler may do. All of it takes effect together, after the handler has finished, or not at all when it throws; only logs stay.
 */
export interface FunctionContext {
  /** Values of this function for this message's key; kept over restarts and new versions. */
  readonly state: KeyState;
  /**
   * Publishes on this gateway. Text and bytes go out as they are, any other value as JSON.
   * @throws Error PERMISSION_DENIED when no filter in `permissions.publish` matches `topic`, LIMIT_OUTPUT when the message has produced
   * too much; TypeError when it is not a topic to publish to. The first two are not retried.
   */
  publish(topic: string, payload: JsonValue | Uint8Array, options?: PublishOptions): void;
  /**
   * Sends a fact to the cloud, once, with the time of the message; while the link is down it waits on the gateway.
   * @param type Such as `measurement` or `com.example.alarm`; 1 to 200 characters.
   * @param data Becomes JSON; for measurements use the fields of `Measurement`.
   * @throws Error PERMISSION_DENIED when nothing in `permissions.emit` matches `type`, LIMIT_OUTPUT as for `publish`.
   */
  emit(type: string, data: JsonValue, options?: EmitOptions): void;
  /**
   * Asks another host, through the gateway; also the global `fetch`. It happens while the message is handled, so at least once, and what was not
   * waited for ends with the handler. At most 100 for one message.
   * @throws Error FETCH_FORBIDDEN when `permissions.http` does not allow the host or its address, LIMIT_FETCH when a body is over `limits.fetch`;
   * neither is retried. FETCH_FAILED when there is no answer. TypeError for a request that is none; the reason of the signal.
   */
  readonly fetch: Fetch;
  /**
   * A secret of the gateway that `permissions.secrets` names, as it is now. Ask each time rather than keeping it: a change counts from the next time on.
   * Logs and errors do not show it.
   * @throws Error PERMISSION_DENIED when the manifest does not name it, which is not retried; SECRET_MISSING when it is not set
   */
  secret(name: string): Promise<string>;
  readonly log: FunctionLog;
  /** `env` of the manifest. */
  readonly env: Readonly<Record<string, string>>;
  /** The time of the message in milliseconds since the epoch: the same for each try, so that a retry decides the same. */
  now(): number;
  /** When `limits.wall` ends this try, in milliseconds since the epoch. */
  readonly deadline: number;
  /** Names this try in the logs: `SEQ.ATTEMPT`. */
  readonly invocation: string;
  readonly function: { readonly name: string; readonly version: number };
}

export interface FunctionState {
  /**
   * The value under `name`, with the writes of this handler already in it; undefined when there is none. A copy: changing it does not
   * change the state.
   */
  get<T = unknown>(name: string): Promise<T | undefined>;
  /**
   * Everything whose name begins with `prefix`, by name, in the order of the names (as `sort` has it), with the writes of this handler
   * already in it. Copies, as with `get`.
   */
  list<T = unknown>(prefix?: string): Promise<Map<string, T>>;
  /**
   * @param name 1 to 1,024 characters.
   * @param value Comes back as it is: dates, maps, sets, typed arrays, bigints, numbers that are none and undefined within it, too. What has a `toJSON` becomes
   * what that returns, instances of other classes become plain objects.
   * @throws Error LIMIT_STATE when it is over `limits.stateValue`; it is not retried. TypeError for a `ttl` that is none.
   */
  set(name: string, value: StateValue, options?: SetOptions): void;
  delete(name: string): void;
}

/** Values of one key, and beside them those of the function. */
export interface KeyState extends FunctionState {
  /**
   * Values that all keys of the function see, in the same way.
   * @throws Error STATE_NOT_SHARED when `concurrency` is above 1; it is not retried.
   */
  readonly shared: FunctionState;
}

export interface SetOptions {
  /**
   * How long the value is there, by the time of messages: one that came so long after this one does not find it any more. Milliseconds, or a text such as
   * `10m` (`ms`, `s`, `m`, `h`, `d`), at most 100 years. Without it the value stays; each `set` decides anew.
   */
  readonly ttl?: string | number;
}

export interface PublishOptions {
  /** Default 1. */
  readonly qos?: 0 | 1 | 2;
  /** Default false. */
  readonly retain?: boolean;
}

export interface EmitOptions {
  /** What the event is about; default the topic of the message. */
  readonly subject?: string;
}

/** Lines for `millrace logs`, at most 100 for one message. `fields` stay fields, as JSON. `console` writes to the same place. */
export interface FunctionLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

// oxlint-disable-next-line typescript/no-invalid-void-type -- most handlers return nothing.
export type HandlerResult = void | HttpResponse | JsonValue | Uint8Array;

/** What `init` may use: it belongs to no message, so nothing that it does takes effect outside of its isolate. */
export type InitContext = Pick<FunctionContext, "env" | "log" | "function" | "secret">;

/** What `migrate` may use beside the values. */
export interface MigrateContext extends Pick<FunctionContext, "env" | "log" | "function"> {
  /** Whose values they are; undefined for what all keys share. */
  readonly key: string | undefined;
  /** `state.version` of the manifest. */
  readonly to: number;
}

/** All values of a key, by name. */
export type MigratedState = ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>>;

/** What a function may have beside what handles messages. */
export interface FunctionSetup {
  /**
   * Runs once in each isolate, before its first message, for what is expensive to make: tables, parsers, compiled patterns. Isolates come and go,
   * so it makes nothing that has to last. When it throws, or takes longer than `limits.init`, the isolate is not used: a version that was just
   * deployed does not take over (FUNCTION_LOAD_FAILED).
   */
  init?(ctx: InitContext): void | Promise<void>;
  /**
   * Brings the values of one key to `state.version` of the manifest: gets all that older code has stored, and returns all that is there from now on; what it
   * leaves out is deleted. Runs before the first message of the key is handled, and what it returns is kept with what that message does. A value keeps the
   * time at which it expires under its name. When it throws, the message has failed, as when the handler throws.
   * @param from The `state.version` that has stored them; 1 for what was stored before there was one.
   */
  migrate?(entries: Map<string, unknown>, from: number, ctx: MigrateContext): MigratedState | Promise<MigratedState>;
}

/** What `batch` may do. What is published, emitted and stored takes effect together, with all of its messages that have not failed. */
export interface BatchContext<T = unknown> extends Omit<FunctionContext, "state"> {
  /**
   * The context of one of the messages, for what concerns that one alone: its state, its events, its publishes. It counts unless that message has failed.
   * @throws TypeError when it is none of this batch
   */
  of(event: FunctionEvent<T>): FunctionContext;
}

/** Messages of a batch that have failed; an event is one as it is. */
export interface BatchResult {
  readonly failed?: readonly { readonly id: string; readonly error?: unknown }[];
}

/** A function whose manifest has `batch`. */
export interface BatchDefinition<T = unknown> extends FunctionSetup {
  /**
   * Handles many messages at once, of any keys; those of one key in their order. Without `failed` all of them are done. Those in `failed` are retried or
   * given up, each on its own, and nothing of `ctx.of` for them counts. When it throws, nothing has happened, and the messages come again one by one.
   */
  batch(events: readonly FunctionEvent<T>[], ctx: BatchContext<T>): BatchResult | void | Promise<BatchResult | void>;
}

export interface FunctionDefinition<T = unknown> extends FunctionSetup {
  /**
   * Handles one message. Messages of one key come one after the other, in order. When it throws, the message is tried again as `retry` of
   * the manifest says and then goes to the dead letters; a `PermanentError` sends it there at once. What it returns counts only for a request that
   * waits for an answer; such a request is tried once.
   */
  handler(event: FunctionEvent<T>, ctx: FunctionContext): HandlerResult | Promise<HandlerResult>;
}

/** Declares a function; the entry module exports the result as default. Returns what it is given. */
export function defineFunction<T = unknown>(definition: BatchDefinition<T>): BatchDefinition<T>;
export function defineFunction<T = unknown>(definition: FunctionDefinition<T>): FunctionDefinition<T>;
export function defineFunction<T>(definition: FunctionDefinition<T> | BatchDefinition<T>): FunctionDefinition<T> | BatchDefinition<T> {
  return definition;
}

/** Thrown by a handler when trying again cannot help, such as for a payload that it does not understand. The message says why. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
}
