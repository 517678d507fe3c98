import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import { type ClientInfo, clientInfoSchema, type SessionInfo, sessionInfoSchema } from "../../core/client-info.ts";
import { MillraceError } from "../../core/errors.ts";
import type { LogLevel, LogRecord } from "../../core/stats.ts";
import { type TraceAnswer, traceAnswerSchema } from "../../core/traces.ts";
import { hourSchema, type HourTotals, sampleSchema, type UsageSample } from "../../core/usage-history.ts";
import {
  type DeadLetterAnswer,
  deadLettersSchema,
  gatewayStatsSchema,
  type GatewayStatsAnswer,
  type InvokeAnswer,
  invokeResultSchema,
  type JournalPageAnswer,
  journalPageSchema,
  logPageSchema,
  logRecordSchema,
} from "./gateway-schemas.ts";
import { ask, open, queryOf, type Remote, remote, unreachable } from "./http.ts";

const clearedSchema = z.object({ deleted: z.int() });

const inspectionEventSchema = z.discriminatedUnion("event", [
  z.object({
    event: z.literal("ready"),
    function: z.string(),
    version: z.int(),
    digest: z.string(),
    /** `127.0.0.1:9229` */
    address: z.string(),
    targets: z.array(z.object({ title: z.string(), webSocketDebuggerUrl: z.string(), devtoolsFrontendUrl: z.string() })),
  }),
  z.object({ event: z.literal("ended"), why: z.enum(["time", "closed", "taken"]), message: z.string() }),
]);

interface InspectionWish {
  readonly forMs: number;
  readonly port: number;
  /** What is in the author's files, by their names in the source map. */
  readonly sources: Readonly<Record<string, string>>;
}

export type InspectionEvent = z.infer<typeof inspectionEventSchema>;

export const DEFAULT_GATEWAY = "http://127.0.0.1:8330";

export interface LogFilter {
  readonly function?: string | undefined;
  readonly version?: number | undefined;
  readonly invocation?: string | undefined;
  readonly trace?: string | undefined;
  readonly level?: LogLevel | undefined;
  /** A duration before now or an RFC 3339 time, for the gateway to read. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly text?: string | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

export interface JournalFilter {
  /** A position, as `core/stretch.ts` reads it; likewise `to`. */
  readonly from?: string | undefined;
  /** The seq at which the gateway begins to look for `from`. */
  readonly start?: number | undefined;
  readonly to?: string | undefined;
  readonly topic?: string | undefined;
  readonly limit: number;
  readonly wait: boolean;
}

export interface InvokeMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  /** Whether what the function fetches is fetched. */
  readonly fetch: boolean;
}

/** A gateway's local HTTP as its caller sees it. Everything throws GATEWAY_UNREACHABLE or what the gateway answers. */
export class GatewayClient {
  readonly #remote: Remote;
  readonly #signal: AbortSignal;

  /** @throws MillraceError USAGE when `address` is none */
  constructor(address: string, signal: AbortSignal) {
    this.#remote = remote(address, { flag: "--gateway", what: "a gateway", unreachable: "GATEWAY_UNREACHABLE" });
    this.#signal = signal;
  }

  stats(): Promise<GatewayStatsAnswer> {
    return ask(this.#remote, { path: "/v1/stats", schema: gatewayStatsSchema, signal: this.#signal });
  }

  /** What functions used in the last hours, the one that has begun included; oldest first. */
  hours(hours: number): Promise<HourTotals[]> {
    return ask(this.#remote, { path: `/v1/usage/hours${queryOf({ hours })}`, schema: z.array(hourSchema), signal: this.#signal });
  }

  /** What functions did every ten seconds of the last `ms`, oldest first. */
  samples(ms: number): Promise<UsageSample[]> {
    return ask(this.#remote, { path: `/v1/usage/samples${queryOf({ ms })}`, schema: z.array(sampleSchema), signal: this.#signal });
  }

  /** One page of the journal; with `wait` only when there is something, or nothing came in for a while. */
  journal({ wait, ...query }: JournalFilter): Promise<JournalPageAnswer> {
    return ask(this.#remote, {
      path: `/v1/journal${queryOf({ ...query, wait: wait ? 1 : 0 })}`,
      schema: journalPageSchema,
      signal: this.#signal,
      timeoutMs: 60_000,
    });
  }

  /** What became of a message or of everything of a trace; `id` as core/trace-ref.ts reads it. */
  trace(id: string): Promise<TraceAnswer> {
    const path = `/v1/traces/${encodeURIComponent(id)}`;
    return ask(this.#remote, { path, schema: traceAnswerSchema, signal: this.#signal, timeoutMs: 120_000 });
  }

  logs(filter: LogFilter): Promise<{ records: LogRecord[]; next: number }> {
    return ask(this.#remote, {
      path: `/v1/logs${queryOf({ ...filter })}`,
      schema: logPageSchema,
      signal: this.#signal,
      timeoutMs: 120_000,
    });
  }

  /** Records as they come, beginning with the newest `limit`. Ends with the signal, or when the gateway closes. */
  async *followLogs(filter: LogFilter): AsyncGenerator<LogRecord, void, void> {
    const path = `/v1/logs${queryOf({ ...filter, follow: 1 })}`;
    const response = await open(this.#remote, { path, signal: this.#signal });
    for await (const line of this.#lines(response)) yield parsed(line, logRecordSchema, "a log line");
  }

  async *#lines(response: Response): AsyncGenerator<string, void, void> {
    if (response.body === null) return;
    const source = Readable.fromWeb(response.body, { signal: this.#signal });
    try {
      for await (const line of createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })) {
        if (line !== "") yield line;
      }
    } catch (error) {
      // A gateway that dies breaks the stream off.
      throw error instanceof MillraceError ? error : unreachable(this.#remote, error);
    } finally {
      source.destroy();
    }
  }

  /** Inspects a function: says when a debugger can attach, and when it is over. Ends with the signal, or when the gateway breaks off. */
  async *inspect(name: string, request: InspectionWish): AsyncGenerator<InspectionEvent, void, void> {
    const response = await open(this.#remote, {
      path: `/v1/functions/${encodeURIComponent(name)}/inspect`,
      signal: this.#signal,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    for await (const line of this.#lines(response)) yield parsed(line, inspectionEventSchema, "a line about an inspection");
  }

  /** Who is connected to the broker, by client id. */
  clients(query: { readonly user?: string | undefined; readonly limit: number }): Promise<ClientInfo[]> {
    return ask(this.#remote, { path: `/v1/clients${queryOf({ ...query })}`, schema: z.array(clientInfoSchema), signal: this.#signal });
  }

  /** Sessions whose clients are away, the one that was left first in front. */
  sessionsAway(query: { readonly user?: string | undefined; readonly limit: number }): Promise<SessionInfo[]> {
    return ask(this.#remote, { path: `/v1/sessions${queryOf({ ...query })}`, schema: z.array(sessionInfoSchema), signal: this.#signal });
  }

  /** Ends the connection of a client. Throws NOT_FOUND when nobody is connected with this id. */
  async disconnect(id: string): Promise<void> {
    const path = `/v1/clients/${encodeURIComponent(id)}`;
    await ask(this.#remote, { path, schema: z.object({ disconnected: z.string() }), signal: this.#signal, method: "DELETE" });
  }

  /** Ends the session of a client, and its connection. Throws NOT_FOUND when it has neither. */
  async forget(id: string): Promise<void> {
    const path = `/v1/sessions/${encodeURIComponent(id)}`;
    await ask(this.#remote, { path, schema: z.object({ forgotten: z.string() }), signal: this.#signal, method: "DELETE" });
  }

  /** Of one function or all, at most `limit`, the newest of a function first. */
  deadLetters(functionName: string | undefined, limit: number): Promise<DeadLetterAnswer[]> {
    const path = `/v1/dead-letters${queryOf({ function: functionName, limit })}`;
    return ask(this.#remote, { path, schema: deadLettersSchema, signal: this.#signal });
  }

  /** Deletes them; resolves with how many there were. */
  async clearDeadLetters(functionName: string | undefined): Promise<number> {
    const path = `/v1/dead-letters${queryOf({ function: functionName })}`;
    const answer = await ask(this.#remote, { path, schema: clearedSchema, signal: this.#signal, method: "DELETE", timeoutMs: 120_000 });
    return answer.deleted;
  }

  /** Runs a deployed function once; nothing of what it does is kept. */
  invoke(name: string, message: InvokeMessage): Promise<InvokeAnswer> {
    const { topic, payload, qos, fetch } = message;
    return ask(this.#remote, {
      path: `/v1/functions/${encodeURIComponent(name)}/invoke`,
      schema: invokeResultSchema,
      signal: this.#signal,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ topic, payloadBase64: Buffer.from(payload).toString("base64"), qos, fetch }),
      timeoutMs: 120_000,
    });
  }
}

function parsed<T>(line: string, schema: z.ZodType<T>, what: string): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch (cause) {
    throw new MillraceError("GATEWAY_UNREACHABLE", `the gateway sent ${what} that this version does not understand`, { cause });
  }
}
