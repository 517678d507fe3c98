import { vi } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { Drops } from "../../src/core/drops.ts";
import { silentLogger } from "../../src/core/log.ts";
import { decodeMessage, type JournaledMessage, type Message } from "../../src/core/message.ts";
import type { DeadLetter, FunctionStats } from "../../src/core/stats.ts";
import type { TraceRecord } from "../../src/core/traces.ts";
import { Journal, type JournalOptions } from "../../src/journal/journal.ts";
import type { DeploymentJournal } from "../../src/runtime/deployment-journal.ts";
import type { OutsideOptions } from "../../src/runtime/outside.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { TraceRecorder } from "../../src/runtime/trace-recorder.ts";
import type { TestFunction } from "./functions.ts";
import { append, entryOf, KEEPS_NOTHING } from "./journal.ts";
import { TempFolder } from "./temp-folder.ts";

export interface CoreOptions {
  readonly folder: string;
  readonly hosts?: number;
  readonly hostMemoryMax?: number;
  readonly ownHostsMax?: number;
  readonly pendingMax?: number;
  readonly changed?: () => void;
  readonly outside?: OutsideOptions;
  /** Of the schedules. */
  readonly clock?: Clock;
  /** Quota of the events of one priority. */
  readonly outboxLaneBytesMax?: number;
  readonly journal?: Partial<JournalOptions>;
  /** Has what became of messages recorded, at these rates. */
  readonly traces?: { readonly rateMax: number; readonly sampleMax: number };
  /** False leaves it to the test to let the functions begin. */
  readonly begin?: boolean;
  /** Stands between the runtime and the reading of the journal, to make something happen in the middle of it. */
  readonly around?: (read: () => Promise<Messages>, journal: Journal) => Promise<Messages>;
}

type Messages = readonly JournaledMessage[];

/** An event as tests look at it: which message, which type, what data. */
export interface Emitted {
  readonly id: string;
  readonly seq: number;
  readonly type: string;
  readonly subject: string;
  readonly version: number;
  readonly data: unknown;
}

/** The inner part of a gateway, without a broker: what functions publish is collected. */
export class Core implements AsyncDisposable {
  readonly journal: Journal;
  readonly runtime: Runtime;
  readonly drops: Drops;
  readonly traces: TraceRecorder | undefined;
  readonly published: { topic: string; text: string; source: string; hops: number }[] = [];
  readonly #own: AsyncDisposableStack;

  private constructor(parts: Pick<Core, "journal" | "runtime" | "drops" | "traces">, own: AsyncDisposableStack) {
    const { journal, runtime, drops, traces } = parts;
    this.traces = traces;
    this.drops = drops;
    this.journal = journal;
    this.runtime = runtime;
    this.#own = own;
    journal.subscribe({
      incoming: (messages) => runtime.accept(messages),
      publishes: (number, records) => {
        for (const record of records) {
          const { topic, payload, source, hops } = decodeMessage(record);
          this.published.push({ topic, source, hops, text: Buffer.from(payload).toString() });
        }
        journal.delivered(number);
      },
      deadLettersFree: () => runtime.lettersFree(),
    });
    journal.outbox.onPressure((pressure) => runtime.outboxPressure(pressure));
  }

  static async open(options: CoreOptions): Promise<Core> {
    await using own = new AsyncDisposableStack();
    const drops = new Drops();
    const outbox = options.outboxLaneBytesMax === undefined ? {} : { outboxLaneBytesMax: options.outboxLaneBytesMax };
    const journal = own.use(
      await Journal.open({ location: `${options.folder}/journal`, batchMax: 256, ...KEEPS_NOTHING, drops, ...outbox, ...options.journal }),
    );
    const { hosts = 1, pendingMax = 8_192, around, hostMemoryMax, ownHostsMax, changed, outside = {}, clock } = options;
    const limits = { ...(hostMemoryMax === undefined ? {} : { hostMemoryMax }), ...(ownHostsMax === undefined ? {} : { ownHostsMax }) };
    const more = { ...limits, outside, ...(changed === undefined ? {} : { changed }), ...(clock === undefined ? {} : { clock }) };
    const seen = around === undefined ? journal : surrounded(journal, around);
    const rates = options.traces;
    const recorded = { store: journal.traces, bytesMax: 2 ** 20, drops, logger: silentLogger };
    const traces = rates === undefined ? undefined : own.use(new TraceRecorder({ ...recorded, ...rates }));
    const runtime = own.use(await Runtime.start({ gateway: "g", hosts, pendingMax, drops, traces, ...more }, seen, silentLogger));
    if (options.begin !== false) runtime.begin();
    return new Core({ journal, runtime, drops, traces }, own.move());
  }

  /** In a folder of its own, which goes with it. */
  static async temporary(options: Omit<CoreOptions, "folder"> = {}): Promise<Core> {
    await using own = new AsyncDisposableStack();
    const folder = own.use(await TempFolder.make());
    const core = await Core.open({ ...options, folder: folder.path });
    own.use({ [Symbol.asyncDispose]: () => core.#own.disposeAsync() });
    return new Core(core, own.move());
  }

  async deploy(...functions: readonly TestFunction[]): Promise<void> {
    for (const { target, bundle } of functions) await this.runtime.deploy(target, bundle);
  }

  /** Resolves when the message is durable. Text stays text, everything else is sent as JSON. */
  send(topic: string, data: unknown, more: Partial<Message> = {}, way: { readonly volatile?: true } = {}): Promise<void> {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    return append(this.journal, { ...entryOf(topic, text, { time: Date.now(), ...more }), ...way });
  }

  stats(name: string): FunctionStats {
    const found = this.runtime.stats().functions.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no function "${name}"`);
    return found;
  }

  /** Resolves when every message, also those that functions publish, is handled or given up and what came of it is on disk. */
  async drained(timeout = 20_000): Promise<void> {
    const behind = (): string[] =>
      this.runtime
        .stats()
        .functions.filter(({ backlog }) => backlog > 0)
        .map(({ name, backlog }) => `${name} ${backlog}`);
    // What was settled may still be on its way to the disk and wake a function from there; twice in a row nothing may have moved.
    for (let quiet = 0; quiet < 2;) {
      const seq = this.journal.nextSeq;
      await vi.waitUntil(() => behind().length === 0, { timeout, interval: 10 });
      await this.journal.removeFunction("nobody"); // Written behind every commit so far.
      quiet = seq === this.journal.nextSeq && behind().length === 0 ? quiet + 1 : 0;
    }
  }

  async events(type?: string): Promise<Emitted[]> {
    const all = await this.journal.outbox.read(0, 1_000_000);
    return all
      .map(({ event: { id, type: its, subject, version, data } }) => ({
        id,
        type: its,
        subject,
        version,
        seq: Number(id.split(":")[1]),
        data: JSON.parse(data) as unknown,
      }))
      .filter((event) => type === undefined || event.type === type);
  }

  /** The data of the events, for each subject in the order of their commits. */
  async bySubject(): Promise<Record<string, unknown[]>> {
    const grouped: Record<string, unknown[]> = {};
    for (const { subject, data } of await this.events()) (grouped[subject] ??= []).push(data);
    return grouped;
  }

  /** What was recorded of a message so far. */
  async tracesOf(seq: number): Promise<readonly TraceRecord[]> {
    await this.traces?.flush();
    return this.journal.traces.ofMessage(seq, 100);
  }

  async deadLetters(): Promise<readonly DeadLetter[]> {
    return (await this.journal.deadLetters(undefined, 10_000)).toReversed();
  }

  /** Whatever was under way is dropped, as in a crash, except that the journal is closed in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}

function surrounded(journal: Journal, around: NonNullable<CoreOptions["around"]>): DeploymentJournal {
  return {
    get nextSeq() {
      return journal.nextSeq;
    },
    read: (from, max) => around(() => journal.read(from, max), journal),
    commit: (commit, done) => journal.commit(commit, done),
    loadState: (name, key) => journal.loadState(name, key),
    restingFloor: (running) => journal.restingFloor(running),
    functionRecord: (name) => journal.functionRecord(name),
    functionRecords: journal.functionRecords,
    saveFunction: (name, record, cursor) => journal.saveFunction(name, record, cursor),
    removeFunction: (name) => journal.removeFunction(name),
    saveProof: (name, proven) => journal.saveProof(name, proven),
    cursor: (consumer) => journal.cursor(consumer),
    state: journal.state,
    expiry: journal.expiry,
    get deadLettersFull() {
      return journal.deadLettersFull;
    },
    dropMarks: (name) => journal.dropMarks(name),
    ticks: journal.ticks,
    append: (entry, done) => journal.append(entry, done),
  };
}
