import { systemClock } from "../../../src/core/clock.ts";
import { decodeLink } from "../../../src/core/link.ts";
import { eventBatchSchema } from "../../../src/core/link-messages.ts";
import { Drops } from "../../../src/core/drops.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { decodeMessage } from "../../../src/core/message.ts";
import type { OpenDatabase } from "../../../src/journal/database.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { UPLOAD_DEFAULTS, Uploader } from "../../../src/sync/uploader.ts";
import { HandClock } from "../../support/hand-clock.ts";
import { append, appendOnce, entryOf, KEEPS_NOTHING } from "../../support/journal.ts";
import type { OutboxEvent } from "../../../src/core/event.ts";
import { functionNamed } from "./functions.ts";
import { LANE_BYTES_MAX, LANE_TYPE } from "./lanes.ts";
import type { Moment, Moments, Outside, Sent } from "./moments.ts";

const CLIENT = "sender";
/** What is sent with this key may be lost, and what came of it too. */
export const VOLATILE_KEY = "v";
const DRAIN_MS_MAX = 60_000;
const CLOUD_MS = 5;

/** What `counting`, `relayed` and `heard` say of messages that are on disk. */
function told({ subject, type }: { readonly subject: string; readonly type: string }): boolean {
  return subject !== VOLATILE_KEY && type !== LANE_TYPE && type !== "gathered" && type !== "ticked";
}

/** The inner part of a gateway (journal, functions, upload) with a world around it that remembers what it was told. */
export class CrashGateway implements AsyncDisposable {
  readonly journal: Journal;
  readonly runtime: Runtime;
  readonly outside: Outside;
  readonly drops: Drops;
  /** What was in the outbox when the gateway started. */
  readonly waiting: readonly OutboxEvent[];
  readonly clock: HandClock;
  readonly #uploader: Uploader;
  readonly #moments: Moments;
  readonly #own: AsyncDisposableStack;

  private constructor(
    parts: Pick<CrashGateway, "journal" | "runtime" | "drops" | "waiting" | "clock">,
    world: World,
    own: AsyncDisposableStack,
  ) {
    this.journal = parts.journal;
    this.runtime = parts.runtime;
    this.drops = parts.drops;
    this.waiting = parts.waiting;
    this.clock = parts.clock;
    this.outside = world.outside;
    this.#moments = world.moments;
    this.#own = own;
    this.#uploader = this.#toCloud();
  }

  static async open(location: string, world: World, open?: OpenDatabase): Promise<CrashGateway> {
    await using own = new AsyncDisposableStack();
    const drops = new Drops();
    const options = { location, batchMax: 64, ...KEEPS_NOTHING, outboxLaneBytesMax: LANE_BYTES_MAX, drops };
    const journal = own.use(await Journal.open(options, open));
    const clock = new HandClock(world.outside.now);
    const limits = { gateway: "g", hosts: 1, pendingMax: 1_000, milestone: 3, drops, clock };
    const runtime = own.use(await Runtime.start(limits, journal, silentLogger));
    const waiting = (await journal.outbox.read(0, 100)).map(({ event }) => event);
    const gateway = new CrashGateway({ journal, runtime, drops, waiting, clock }, world, own);
    journal.subscribe({
      incoming: (messages) => runtime.accept(messages),
      publishes: (number, records) => {
        for (const record of records) gateway.note({ kind: "delivered", text: Buffer.from(decodeMessage(record).payload).toString() });
        journal.delivered(number);
      },
    });
    own.use(gateway.#upload());
    own.move();
    return gateway;
  }

  /** The versions that the world outside wants, as after a start: what ran before first, then what has been decided since. */
  async restore(): Promise<void> {
    for (const [name, version] of this.outside.desired) {
      const ran = this.journal.functionRecord(name);
      if (ran !== undefined) await this.#run(name, ran.version);
      if (version !== ran?.version) await this.#run(name, version);
    }
    await this.journal.redeliver();
    this.runtime.begin();
  }

  async desire(name: string, version: number): Promise<void> {
    this.note({ kind: "desired", name, version });
    await this.#run(name, version);
  }

  /** Resolves when it is acknowledged: PUBACK, or PUBREC for QoS 2. That may be lost on its way. */
  async send(message: Sent): Promise<void> {
    this.note({ kind: "sent", message });
    await this.resend(message);
  }

  async resend(message: Sent): Promise<void> {
    const { key, name, kind, packetId } = message;
    const entry = entryOf(`in/${key}`, JSON.stringify(packetId === undefined ? { name, kind, once: name } : { name, kind }), {
      time: Date.now(),
    });
    if (kind === "volatile") await append(this.journal, { ...entry, volatile: true });
    else if (packetId === undefined) await append(this.journal, entry);
    else await appendOnce(this.journal, CLIENT, packetId, entry);
    if (message.deaf !== true) this.note({ kind: "acknowledged", message });
  }

  /** PUBREL and PUBCOMP: the packet id may be used again. */
  async release(message: Sent): Promise<void> {
    await this.journal.qos2.release(CLIENT, message.packetId ?? 0);
    this.note({ kind: "released", message });
  }

  /**
   * Resolves when the world outside has seen what every message brings about, and nothing is left to do. It looks only: a write that waits for
   * those before it would be synced, and secure what a power cut is to take. What is missing after a while is for the checks to name.
   */
  async drained(): Promise<void> {
    await until(() => this.#quiet());
  }

  /** So many seconds pass. */
  pass(seconds: number): void {
    this.note({ kind: "clock", now: this.clock.now() + seconds * 1_000 });
    this.clock.advance(seconds * 1_000);
  }

  /** Resolves when the cloud has what `counting` says of a message. */
  async stored(name: string): Promise<void> {
    await until(() =>
      Promise.resolve([...this.outside.cloud.values()].some(({ type, data }) => type !== "gathered" && data.includes(name))),
    );
  }

  /** Writes something behind everything that was submitted so far. */
  async flushed(): Promise<void> {
    await this.journal.removeFunction("nobody");
  }

  async #quiet(): Promise<boolean> {
    const { sent, cloud } = this.outside;
    const dead = await this.journal.deadLetters(undefined, 100);
    const events = [...cloud.values()].filter(told);
    const counted = events.filter(({ type }) => type === "counted");
    const names = new Set(counted.map(({ data }) => (JSON.parse(data) as { name: string }).name));
    const seen = ({ kind, name }: Sent): boolean => (kind === "bad" ? dead.length > 0 : kind === "volatile" || names.has(name));
    return (
      sent.every(seen) &&
      (!this.outside.desired.has("ticking") || this.outside.ticked.at(-1) === this.clock.now()) &&
      events.length === 3 * counted.length &&
      this.journal.outbox.pending === 0 &&
      this.runtime.stats().functions.every(({ backlog }) => backlog === 0)
    );
  }

  link(up: boolean): void {
    if (up) this.#uploader.connected();
    else this.#uploader.disconnected();
  }

  note(moment: Moment): void {
    this.#moments.note(moment);
    this.outside.apply(moment);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }

  async #run(name: string, version: number): Promise<void> {
    if (version === 0) return this.runtime.remove(name);
    const { target, bundle } = functionNamed(name, version);
    await this.runtime.deploy(target, bundle);
  }

  /** A cloud that is always there; it stores a little later than it is told, and its answer comes a turn of the event loop after that. */
  #toCloud(): Uploader {
    const uploader: Uploader = new Uploader(
      this.journal.outbox,
      (payload) => {
        const batch = decodeLink(eventBatchSchema, payload);
        if (batch === undefined) throw new Error("the gateway sent events that cannot be read");
        setTimeout(() => {
          const stored = batch.events.filter(({ id }) => !this.outside.cloud.has(id)).length;
          this.note({ kind: "stored", events: batch.events });
          setImmediate(() => uploader.acked({ batch: batch.batch, stored, duplicates: batch.events.length - stored, rejected: 0 }));
        }, CLOUD_MS);
      },
      { logger: silentLogger, clock: systemClock, random: Math.random },
      { ...UPLOAD_DEFAULTS, compression: "none" },
    );
    return uploader;
  }

  #upload(): AsyncDisposable {
    const stop = new AbortController();
    this.link(true);
    const running = this.#uploader.run(stop.signal);
    return {
      async [Symbol.asyncDispose]() {
        stop.abort();
        await running;
      },
    };
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const started = Date.now();
  while (!(await condition()) && Date.now() - started < DRAIN_MS_MAX) await new Promise((resolve) => setTimeout(resolve, 5));
}

interface World {
  readonly outside: Outside;
  readonly moments: Moments;
}
