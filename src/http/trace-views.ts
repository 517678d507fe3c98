import { MillraceError } from "../core/errors.ts";
import { decodeMessage, type JournaledMessage } from "../core/message.ts";
import type { LogRecord } from "../core/stats.ts";
import { parseTraceRef, TRACE_REF_FORMS, type TraceRef } from "../core/trace-ref.ts";
import type { TraceAnswer, TracedFunction, TracedMessage, TracedTry, TraceRecord } from "../core/traces.ts";
import type { HttpParts } from "./parts.ts";

/** Messages of one answer, and how far it follows what they led to. */
const MESSAGES_MAX = 100;
const DEPTH_MAX = 16;
/** Of one message. */
const TRIES_MAX = 100;
const LOG_LINES_MAX = 200;

type Source = Pick<HttpParts, "journal" | "logs" | "traces" | "stats">;

interface Journaled {
  readonly found: JournaledMessage;
  readonly time: number;
  readonly shown: NonNullable<TracedMessage["message"]>;
}

/** What is asked for, while the answer is put together. */
interface Walk {
  readonly gateway: string;
  readonly signal: AbortSignal;
  readonly seen: Set<number>;
}

/** Everything that is known of a message: what it is, what functions did with it, and what that led to. */
export class TraceViews {
  readonly #source: Source;

  constructor(source: Source) {
    this.#source = source;
  }

  /** @throws MillraceError REQUEST_INVALID, TRACE_UNKNOWN */
  async find(id: string, signal: AbortSignal): Promise<TraceAnswer> {
    const ref = parseTraceRef(id);
    if (ref === undefined) throw new MillraceError("REQUEST_INVALID", `"${id.slice(0, 100)}" is not ${TRACE_REF_FORMS}`);
    const { gateway } = this.#source.stats();
    const walk: Walk = { gateway, signal, seen: new Set() };
    if (ref.kind === "trace") return { id, gateway, ...(await this.#ofTrace(ref.traceId, walk)) };
    if (ref.gateway !== undefined && ref.gateway !== gateway) {
      throw unknown(`"${id}" is of the gateway "${ref.gateway}", and this is "${gateway}"`);
    }
    const message = await this.#message(ref.seq, 0, walk);
    if (message === undefined) throw this.#missing(ref.seq);
    return { id, gateway, messages: [narrowed(message, ref)] };
  }

  async #ofTrace(traceId: string, walk: Walk): Promise<Pick<TraceAnswer, "messages" | "cut">> {
    const recorded = await this.#source.traces.ofTrace(traceId, MESSAGES_MAX + 1);
    const seqs = recorded.length > 0 ? recorded : await this.#logged(traceId, walk.signal);
    const messages: TracedMessage[] = [];
    // A message has a higher seq than what led to it.
    for (const seq of seqs) {
      if (walk.seen.has(seq) || walk.seen.size >= MESSAGES_MAX) continue;
      const message = await this.#message(seq, 0, walk);
      if (message !== undefined) messages.push(message);
    }
    if (messages.length === 0) throw unknown(`nothing is known of the trace ${traceId} on this gateway`);
    return seqs.every((seq) => walk.seen.has(seq)) ? { messages } : { messages, cut: true };
  }

  /** Of a trace that was not sampled there may still be lines in the logs. */
  async #logged(traceId: string, signal: AbortSignal): Promise<number[]> {
    const { records } = await this.#source.logs({ trace: traceId, level: "debug", limit: 1_000 }, signal);
    return [...new Set(records.flatMap(({ invocation }) => (invocation === undefined ? [] : [Number.parseInt(invocation, 10)])))].toSorted(
      (one, other) => one - other,
    );
  }

  #missing(seq: number): MillraceError {
    const newest = this.#source.journal.nextSeq() - 1;
    if (seq > newest) return unknown(`no message ${seq} has come in yet; the newest is ${newest}`);
    const { first } = this.#source.stats().journal;
    return unknown(`nothing is known of message ${seq} any more; the journal keeps messages from ${first} on`);
  }

  /** Undefined when nothing is known of it. */
  async #message(seq: number, depth: number, walk: Walk): Promise<TracedMessage | undefined> {
    walk.signal.throwIfAborted();
    walk.seen.add(seq);
    const [message, records] = await Promise.all([this.#journaled(seq), this.#source.traces.ofMessage(seq, TRIES_MAX)]);
    const since = message?.time ?? records[0]?.arrived;
    const query = { invocation: String(seq), level: "debug", limit: LOG_LINES_MAX, since } as const;
    const logs = (await this.#source.logs(query, walk.signal)).records;
    const functions = await this.#functions({ seq, message: message?.found, records, logs, gateway: walk.gateway });
    if (message === undefined && functions.length === 0) return undefined;
    const led = await this.#led([...new Set(records.flatMap(({ derived }) => derived))], depth, walk);
    return { seq, id: `${walk.gateway}:${seq}`, ...(message === undefined ? {} : { message: message.shown }), functions, ...led };
  }

  async #led(seqs: readonly number[], depth: number, walk: Walk): Promise<Pick<TracedMessage, "derived" | "cut">> {
    const derived: TracedMessage[] = [];
    for (const seq of seqs) {
      if (depth >= DEPTH_MAX || walk.seen.size >= MESSAGES_MAX) return { derived, cut: true };
      if (walk.seen.has(seq)) continue;
      const message = await this.#message(seq, depth + 1, walk);
      if (message !== undefined) derived.push(message);
    }
    return { derived };
  }

  async #journaled(seq: number): Promise<Journaled | undefined> {
    const [found] = await this.#source.journal.read(seq, 1);
    if (found?.seq !== seq) return undefined;
    const { topic, time, source, payload, properties } = decodeMessage(found.record);
    const traceparent = properties?.user?.["traceparent"];
    const said = typeof traceparent === "string" ? { traceparent } : {};
    return { found, time, shown: { topic, time, source, bytes: payload.length, ...said } };
  }

  async #functions(about: {
    readonly seq: number;
    readonly message: JournaledMessage | undefined;
    readonly records: readonly TraceRecord[];
    readonly logs: readonly LogRecord[];
    readonly gateway: string;
  }): Promise<TracedFunction[]> {
    const { seq, message, records, logs } = about;
    const { traces } = this.#source;
    const progress = message === undefined ? [] : traces.progress(message);
    const concerned = new Set([...progress, ...records, ...logs].map((each) => each.function));
    const names = new Set([...concerned, ...this.#source.stats().functions.map(({ name }) => name)]);
    const found: TracedFunction[] = [];
    for (const name of names) {
      const letter = await traces.deadLetter(name, seq);
      if (letter === undefined && !concerned.has(name)) continue;
      const own = records.filter((record) => record.function === name);
      const at = progress.find((each) => each.function === name);
      const version = own.at(-1)?.version ?? letter?.version ?? at?.version;
      found.push({
        function: name,
        ...(version === undefined ? {} : { version }),
        ...(at === undefined ? {} : { progress: at.progress }),
        tries: await Promise.all(own.map((record) => this.#try(record, about.gateway))),
        ...(letter === undefined ? {} : { deadLetter: { code: letter.code, error: letter.error, attempts: letter.attempts } }),
        logs: logs.flatMap((line) => (line.function === name ? [shownLine(line)] : [])),
      });
    }
    return found;
  }

  async #try({ seq, function: name, events, ...about }: TraceRecord, gateway: string): Promise<TracedTry> {
    const shown = events.map(async ({ type, outbox }, index) => ({
      id: `${gateway}:${seq}:${name}:${index}`,
      type,
      cloud: outbox === undefined ? ("dropped" as const) : await this.#source.traces.fateOf(outbox),
    }));
    return { ...about, events: await Promise.all(shown) };
  }
}

function shownLine({ time, level, function: name, invocation = "", message, fields }: LogRecord): TracedFunction["logs"][number] {
  return { time, level, function: name, invocation, message, ...(fields === undefined ? {} : { fields }) };
}

/** Of a try or of an event only what has to do with it. */
function narrowed(message: TracedMessage, ref: Exclude<TraceRef, { kind: "trace" }>): TracedMessage {
  if (ref.kind === "message") return message;
  if (ref.kind === "event") return { ...message, functions: ofEvent(message, ref) };
  const { seq, attempt } = ref;
  const isOver = message.functions.every(({ tries }) => tries.some(({ outcome }) => outcome !== "retry"));
  const last = Math.max(0, ...message.functions.flatMap(({ tries }) => tries.map((one) => one.attempt)));
  if (isOver && attempt > last) throw unknown(`message ${seq} was tried ${last} ${last === 1 ? "time" : "times"}, not ${attempt}`);
  const functions = message.functions.map((each) => ({
    ...each,
    tries: each.tries.filter((one) => one.attempt === attempt),
    logs: each.logs.filter(({ invocation }) => invocation === `${seq}.${attempt}`),
  }));
  return { ...message, functions };
}

function ofEvent(message: TracedMessage, ref: Extract<TraceRef, { kind: "event" }>): readonly TracedFunction[] {
  const functions = message.functions.filter((each) => each.function === ref.function);
  const [found] = functions;
  if (found === undefined) throw unknown(`the function "${ref.function}" has had nothing to do with message ${ref.seq}`);
  const done = found.tries.find(({ outcome }) => outcome === "done");
  const emitted = done === undefined ? Infinity : done.events.length + (done.more?.events ?? 0);
  if (ref.index >= emitted) throw unknown(`"${ref.function}" emitted ${emitted} events because of message ${ref.seq}, numbered from 0`);
  return functions;
}

function unknown(message: string): MillraceError {
  return new MillraceError("TRACE_UNKNOWN", message);
}
