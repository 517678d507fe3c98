import { setMaxListeners } from "node:events";
import { MillraceError } from "../../../src/core/errors.ts";
import { Arrivals } from "../../../src/core/arrivals.ts";
import { encodeMessage, type JournaledMessage, type Message } from "../../../src/core/message.ts";
import { type GatewayStats, type InvokeResult, LOG_LEVELS, type LogRecord } from "../../../src/core/stats.ts";
import type { RecordedMessage } from "../../../src/core/recording.ts";
import type { CallRequest } from "../../../src/core/http-call.ts";
import type { LogPage, LogQuery } from "../../../src/core/logs.ts";
import type { HttpParts, JournalSource, ReplayRequest, ReplaySource, TraceSource } from "../../../src/http/parts.ts";

export const STATS: GatewayStats = {
  gateway: "milan-1",
  version: "0.1.0",
  startedAt: "2026-11-21T00:00:00.000Z",
  pid: 7,
  labels: { site: "milan" },
  broker: {
    clients: 3,
    received: 1000,
    delivered: 900,
    refused: 1,
    willsRefused: 2,
    inflightBytes: 2048,
    inflightWaits: 4,
    listeners: [
      { name: "default", address: "mqtt://127.0.0.1:1883", connections: 3, handshakes: 0, accepted: 9, refused: 0, failed: 0 },
      { name: "field", address: "mqtts://0.0.0.0:8883", connections: 2, handshakes: 1, accepted: 11, refused: 5, failed: 6 },
    ],
    stored: {
      sessionsAway: 5,
      queuedMessages: 13,
      queuedBytes: 4096,
      retainedMessages: 14,
      retainedBytes: 5120,
      drops: [{ reason: "queue-bytes", count: 8 }],
    },
  },
  calls: { open: 2, bodyBytes: 1024, refused: 3, late: 1 },
  journal: {
    appended: 800,
    seq: 812,
    floor: 700,
    commits: 790,
    first: 512,
    bytes: 30_000,
    waiting: [],
    opened: { end: "clean", tookMs: 5, publishes: 0, qos2: 0, problems: [] },
  },
  deadLetters: { count: 2, bytes: 600, full: false },
  runtime: { hosts: 1, hostRestarts: 2, isolatesEvicted: 5, memoryCap: "watch" },
  outbox: { pending: 4, uploaded: 400, rejected: 0 },
  drops: [],
  link: { connected: true, url: "mqtt://127.0.0.1:8884" },
  functions: [
    {
      name: "normalize",
      version: 3,
      digest: "ab",
      state: "active",
      from: 1,
      handled: 780,
      failed: 5,
      retried: 4,
      deadLettered: 1,
      duplicates: 0,
      emitted: 404,
      published: 0,
      backlog: 22,
      instances: 2,
      starts: { count: 4, pooled: 3, cached: 2, isolateMs: 2.5, compileMs: 1.25, initMs: 6, firstCalls: 3, firstCallMs: 1.5 },
      oldestAgeMs: 2_500,
      stateBytes: 4_096,
      usage: {
        invocations: 785,
        errors: { FUNCTION_THREW: 3, LIMIT_CPU: 2 },
        retries: 4,
        duration: { counts: [0, 700, 80, 0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0], sumMs: 300 },
        cpu: { counts: [780, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], sumMs: 60_000 },
        gbSeconds: 0.25,
        bytesIn: 80_000,
        bytesOut: 40_000,
        heapBytes: 3_000_000,
      },
    },
  ],
};

/** A gateway without anything behind it: logs in memory, invocations that answer with what they were given. */
export class Parts implements HttpParts {
  readonly invoked: { name: string; message: Message }[] = [];
  readonly cleared: string[] = [];
  isReady = true;
  readonly traces: TraceSource = {
    ofMessage: () => Promise.resolve([]),
    ofTrace: () => Promise.resolve([]),
    progress: () => [],
    deadLetter: () => Promise.resolve(undefined),
    fateOf: () => Promise.resolve("waiting"),
  };
  readonly clients = {
    list: () => [],
    sessionsAway: () => [],
    disconnect: (id: string) => id === "here",
    forget: (id: string) => Promise.resolve(id === "here"),
  };
  readonly appended: JournaledMessage[] = [];
  readonly arrivals = new Arrivals();
  readonly journal: JournalSource = {
    read: (from, max) => Promise.resolve(this.appended.filter(({ seq }) => seq >= from).slice(0, max)),
    seqAt: () => Promise.resolve(0),
    nextSeq: () => (this.appended.at(-1)?.seq ?? 0) + 1,
    arrival: (signal) => {
      this.waitingForMessages++;
      return this.arrivals.next(signal).finally(() => this.waitingForMessages--);
    },
  };
  readonly #records: LogRecord[] = [];
  #more = Promise.withResolvers<void>();
  waiting = 0;
  waitingForMessages = 0;

  readonly handedIn: { request: object; messages: readonly Message[] }[] = [];
  handIn(request: object, messages: readonly Message[]): Promise<number> {
    this.handedIn.push({ request, messages });
    return Promise.resolve(messages.length);
  }
  readonly replayed: { request?: ReplayRequest; id?: string; messages?: readonly RecordedMessage[] }[] = [];
  readonly replays: ReplaySource = {
    begin: async (request) => {
      if (request.of === "other") throw new MillraceError("FUNCTION_UNKNOWN", "nothing");
      this.replayed.push({ request });
      return { id: "r1", function: "normalize", version: 3 };
    },
    handle: async (id, messages) => {
      this.replayed.push({ id, messages });
      return { taken: messages.length, results: [] };
    },
    end: async (id) => void this.replayed.push({ id }),
  };

  /** What was called. */
  readonly called: CallRequest[] = [];
  readonly calls: HttpParts["calls"] = {
    find: () => ({ kind: "none" }),
    call: (_target, request) => {
      this.called.push(request);
      return Promise.resolve({ id: "g:1" });
    },
  };

  inspect(name: string): Promise<never> {
    return Promise.reject(new MillraceError("FUNCTION_UNKNOWN", `no function "${name}"`));
  }

  /** What was asked for: since when. */
  readonly asked: { kind: "hours" | "samples"; from: number }[] = [];
  readonly history: HttpParts["history"] = {
    hours: async (from) => {
      this.asked.push({ kind: "hours", from });
      return [{ time: 0, function: "normalize", invocations: 3, errors: 1, cpuMs: 2.5, gbSeconds: 0.5 }];
    },
    samples: async (from) => {
      this.asked.push({ kind: "samples", from });
      return [];
    },
  };

  /** A message in the journal; the text is its payload. */
  append(seq: number, topic: string, text = "", time = seq * 1_000): void {
    const message: Message = { topic, payload: Buffer.from(text), qos: 1, retain: false, time, source: "test", hops: 0 };
    this.appended.push({ seq, topic, time, hops: 0, record: encodeMessage(message) });
    this.arrivals.announce();
  }

  stats(): GatewayStats {
    return STATS;
  }

  ready(): boolean {
    return this.isReady;
  }

  log(record: Partial<LogRecord>): void {
    this.#records.push({ n: this.#records.length + 1, time: 0, level: "info", function: "normalize", version: 3, message: "m", ...record });
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  async logs({ function: name, level, after, limit }: LogQuery): Promise<LogPage> {
    const wanted = this.#records.filter(
      (each) =>
        each.n > (after ?? 0) && (name ?? each.function) === each.function && LOG_LEVELS.indexOf(each.level) >= LOG_LEVELS.indexOf(level),
    );
    if (after === undefined) return { records: wanted.slice(-limit), next: this.#records.length };
    const records = wanted.slice(0, limit);
    return { records, next: wanted.length > limit ? (records.at(-1)?.n ?? after) : this.#records.length };
  }

  async waitForLogs(after: number, signal: AbortSignal): Promise<void> {
    const gone = Promise.withResolvers<never>();
    setMaxListeners(0, signal);
    signal.addEventListener("abort", () => gone.reject(signal.reason as Error), { once: true });
    this.waiting++;
    try {
      while (this.#records.length <= after) {
        signal.throwIfAborted();
        await Promise.race([this.#more.promise, gone.promise]);
      }
    } finally {
      this.waiting--;
    }
  }

  async invoke(name: string, message: Message): Promise<InvokeResult> {
    if (message.topic === "crash") throw new Error("secret inside");
    if (message.topic === "closed") throw new MillraceError("JOURNAL_CLOSED", "stopping");
    this.invoked.push({ name, message });
    return { ok: true, state: [], publishes: [], events: [], logs: [], durationMs: 1 };
  }

  async clearDeadLetters(functionName: string | undefined): Promise<number> {
    this.cleared.push(functionName ?? "all");
    return 7;
  }

  async deadLetters(query: { function?: string; limit: number }): Promise<[]> {
    if (query.function === "missing") throw new MillraceError("NOT_FOUND", "nothing");
    return [];
  }
}
