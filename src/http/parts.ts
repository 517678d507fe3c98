import type { Bundle } from "../core/bundle.ts";
import type { ClientSource } from "../core/client-info.ts";
import type { CallReply, CallRequest, CallTarget } from "../core/http-call.ts";
import type { LogPage, LogQuery } from "../core/logs.ts";
import type { JournaledMessage, Message } from "../core/message.ts";
import type { RecordedMessage } from "../core/recording.ts";
import type { HourTotals, UsageSample } from "../core/usage-history.ts";
import type { EventFate, Progress, TraceRecord } from "../core/traces.ts";
import type { DeadLetter, GatewayStats, InvokeResult, ReplayResult } from "../core/stats.ts";

/** What the local HTTP reads of the journal. */
export interface JournalSource {
  /** Messages from `from` on, at most about `max`; empty at the end of the journal. */
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
  /** A seq at or before the first message that arrived at or after that time, in milliseconds since the epoch. */
  seqAt(time: number): Promise<number>;
  /** The seq of the next message. */
  nextSeq(): number;
  /** Resolves once a message comes in; rejects with the signal's reason when aborted. */
  arrival(signal: AbortSignal): Promise<void>;
}

/** Which version a replay runs: the bundle, or what runs on the gateway under this name. */
export interface ReplayRequest {
  readonly of: Bundle | string;
  /** Of what runs it has to be this version; of a bundle it is what the function is told. */
  readonly version?: number | undefined;
  /** What the function finds in its state: what is stored on the gateway, or nothing. */
  readonly state: "current" | "empty";
}

/** Functions handed recorded messages again, without committing anything. Every method rejects with NOT_FOUND for an unknown id. */
export interface ReplaySource {
  /** Rejects with FUNCTION_UNKNOWN, NOT_FOUND when another version runs, TOO_MANY_REPLAYS, FUNCTION_LOAD_FAILED. */
  begin(request: ReplayRequest): Promise<{ readonly id: string; readonly function: string; readonly version: number }>;
  /** `taken` of the messages are done with; the rest has to be handed in again. */
  handle(id: string, messages: readonly RecordedMessage[]): Promise<{ readonly taken: number; readonly results: readonly ReplayResult[] }>;
  end(id: string): Promise<void>;
}

/** The functions that can be called. */
export interface FunctionCalls {
  /** `segments` are those of the path below `/fn/`, decoded. */
  find(method: string, segments: readonly string[]): CallTarget;
  /**
   * Resolves when the request is in the journal, or is handled as well. Rejects with TOO_MANY_CALLS, JOURNAL_FULL, CALL_TIMEOUT, NOT_FOUND,
   * REQUEST_INVALID, and with the signal's reason when aborted.
   */
  call(target: CallTarget & { readonly kind: "found" }, request: CallRequest, signal: AbortSignal): Promise<CallReply>;
}

/** Why an inspection is over: after the time that was asked for, because whoever asked has gone, or because the function does not go on as it was. */
export interface InspectionEnd {
  readonly why: "time" | "closed" | "taken";
  readonly message: string;
}

/** A debugger. */
interface InspectorClient {
  /** A message of the DevTools protocol, in UTF-8; `taken` with its length is to follow when it is on its way. */
  message(text: Buffer): void;
  /** There will be no more messages. */
  closed(reason: string): void;
}

export interface InspectorAttachment {
  send(text: Uint8Array): void;
  taken(bytes: number): void;
  detach(): void;
}

/** A function whose isolates can be looked into. */
export interface InspectedFunction {
  readonly function: string;
  readonly version: number;
  /** Of its bundle. */
  readonly digest: string;
  readonly isolates: number;
  /** To one of the isolates. The debugger before has to leave. Undefined when the isolate is just being made. */
  attach(isolate: number, client: InspectorClient): InspectorAttachment | undefined;
}

interface InspectionRequest {
  readonly forMs: number;
  /** What is in the author's files, by their names in the source map. */
  readonly sources: Readonly<Record<string, string>>;
  /** Called once. */
  ended(end: InspectionEnd): void;
  /** Ends it when aborted. */
  readonly signal: AbortSignal;
}

/** What functions have used, from a time in milliseconds since the epoch on, oldest first. */
export interface UsageSource {
  hours(from: number): Promise<readonly HourTotals[]>;
  samples(from: number): Promise<readonly UsageSample[]>;
}

/** What became of messages. */
export interface TraceSource {
  /** What was recorded of a message, by function and try. */
  ofMessage(seq: number, limit: number): Promise<readonly TraceRecord[]>;
  /** Seqs of the messages of a W3C trace of which something was recorded, lowest first. */
  ofTrace(traceId: string, limit: number): Promise<readonly number[]>;
  /** Where the functions stand with a message that wakes them. */
  progress(message: JournaledMessage): readonly { readonly function: string; readonly version: number; readonly progress: Progress }[];
  deadLetter(functionName: string, seq: number): Promise<DeadLetter | undefined>;
  /** What has become of an event that has this place in the outbox. */
  fateOf(outbox: string): Promise<EventFate>;
}

/** What the local HTTP needs of the gateway. */
export interface HttpParts {
  stats(): GatewayStats;
  /** Whether messages are taken and handled. */
  ready(): boolean;
  /** Rejects with DATA_CORRUPT, and with the signal's reason when aborted. */
  logs(query: LogQuery, signal: AbortSignal): Promise<LogPage>;
  /** Resolves once a record with a larger `n` than `after` exists; rejects with the signal's reason when aborted. */
  waitForLogs(after: number, signal: AbortSignal): Promise<void>;
  /**
   * Runs the function once on the message and commits nothing; with `fetch` what it fetches is fetched. Rejects with FUNCTION_UNKNOWN; a handler that
   * fails is a result.
   */
  invoke(name: string, message: Message, options: { readonly fetch: boolean }): Promise<InvokeResult>;
  /** Deletes those of one function or all; resolves with their number. */
  clearDeadLetters(functionName: string | undefined): Promise<number>;
  deadLetters(query: { readonly function?: string; readonly limit: number }): Promise<readonly DeadLetter[]>;
  readonly journal: JournalSource;
  /**
   * Appends those of the messages that the function listens to as new ones. Resolves with their number once they are durable; rejects with
   * FUNCTION_UNKNOWN, or NOT_FOUND when another version runs.
   */
  handIn(request: { readonly function: string; readonly version?: number | undefined }, messages: readonly Message[]): Promise<number>;
  readonly replays: ReplaySource;
  readonly calls: FunctionCalls;
  /**
   * Resolves when a debugger can attach. Rejects with FUNCTION_UNKNOWN, TOO_MANY_INSPECTIONS, FUNCTION_QUARANTINED, FUNCTION_LOAD_FAILED,
   * INSPECTION_ENDED.
   */
  inspect(name: string, request: InspectionRequest): Promise<InspectedFunction>;
  readonly history: UsageSource;
  readonly traces: TraceSource;
  readonly clients: ClientSource;
}
