import { setTimeout as sleep } from "node:timers/promises";
import { connectAsync, type MqttClient } from "mqtt";
import type { FunctionStats } from "../../src/core/stats.ts";
import { Neighbour, type Pace } from "./neighbour.ts";
import { HostileSite, type Told } from "./site.ts";
import { deployableOf, type Snippet } from "./snippet.ts";

/** Messages that a snippet is sent at least and at most. */
const MESSAGES_MIN = 2;
const MESSAGES_MAX = 60;
/** Of these, not done with at any moment. */
const OUTSTANDING_MAX = 3;
const ROUND_MS = 100;
const SETTLE_MS_MAX = 60_000;
/** How old a quiet value may be that the next snippet is compared with. */
const QUIET_AGE_MS_MAX = 30_000;

/** What was seen while a snippet was at work. */
export interface Observation {
  readonly snippet: Snippet;
  /** Undefined when times were not taken. */
  readonly quiet: Pace | undefined;
  readonly during: Pace;
  readonly sent: number;
  /** Undefined when it could not be had any more. */
  readonly stats: FunctionStats | undefined;
  readonly told: Told;
  /** Messages that it was not done with when there was no more patience. */
  readonly unsettled: number;
  readonly hostDeaths: number;
  /** What happened to others. */
  readonly complaints: readonly string[];
  readonly seconds: number;
}

const NOTHING_TOLD: Told = { letters: {}, codes: [], text: "" };

/** A gateway with a well-behaved neighbour, where snippets are let loose one after the other. */
export class Arena implements AsyncDisposable {
  readonly #site: HostileSite;
  readonly #neighbour: Neighbour;
  readonly #sender: MqttClient;
  readonly #own: AsyncDisposableStack;
  #quiet: { readonly pace: Pace; readonly at: number } | undefined;

  private constructor(parts: { site: HostileSite; neighbour: Neighbour; sender: MqttClient }, own: AsyncDisposableStack) {
    this.#site = parts.site;
    this.#neighbour = parts.neighbour;
    this.#sender = parts.sender;
    this.#own = own;
  }

  static async open(): Promise<Arena> {
    await using own = new AsyncDisposableStack();
    const site = own.use(await HostileSite.start());
    const neighbour = own.use(await Neighbour.start(site));
    const sender = await connectAsync(site.mqtt, { protocolVersion: 5, clientId: "sender", reconnectPeriod: 0 });
    own.defer(() => sender.endAsync(true));
    return new Arena({ site, neighbour, sender }, own.move());
  }

  /** `samples` of the neighbour's messages are timed, before and meanwhile; with 0 no time is taken. */
  async attack(snippet: Snippet, samples: number): Promise<Observation> {
    const startedAt = performance.now();
    const quiet = samples === 0 ? undefined : await this.#quietPace(samples);
    const deathsBefore = (await this.#site.gateway()).runtime.hostRestarts;
    const round = await this.#round(snippet, samples);
    const during = await this.#neighbour.rest();
    const ailment = await this.#site.ailment();
    const complaints = [...round.complaints, ...(ailment === undefined ? [] : [ailment])];
    if (ailment === undefined) {
      complaints.push(...(await this.#neighbour.complaints()));
      await this.#site.remove(snippet.name).catch((error: unknown) => complaints.push(String(error)));
    }
    const deaths = ailment === undefined ? (await this.#site.gateway()).runtime.hostRestarts - deathsBefore : 0;
    return { snippet, quiet, during, ...round, complaints, hostDeaths: deaths, seconds: (performance.now() - startedAt) / 1_000 };
  }

  /** The next snippet is compared with how quick the neighbour is now. */
  forgetQuiet(): void {
    this.#quiet = undefined;
  }

  async #quietPace(samples: number): Promise<Pace> {
    if (this.#quiet !== undefined && performance.now() - this.#quiet.at < QUIET_AGE_MS_MAX) return this.#quiet.pace;
    this.#neighbour.watch();
    await this.#neighbour.watched(samples);
    const pace = await this.#neighbour.rest();
    this.#quiet = { pace, at: performance.now() };
    return pace;
  }

  async #round(snippet: Snippet, samples: number): Promise<Pick<Observation, "sent" | "stats" | "told" | "unsettled" | "complaints">> {
    const complaints: string[] = [];
    let sent = 0;
    let stats: FunctionStats | undefined;
    try {
      // What does its harm while it is loaded is watched from then on.
      const loads = snippet.prelude !== undefined || snippet.code !== undefined || snippet.init !== undefined;
      if (loads) this.#neighbour.watch();
      stats = await this.#site.deploy(deployableOf(snippet));
      if (!loads) this.#neighbour.watch();
      if (stats.state === "active") ({ sent, stats } = await this.#feed(snippet, samples));
      await this.#neighbour.watched(samples);
    } catch (error) {
      complaints.push(error instanceof Error ? error.message : String(error));
    }
    const told = await this.#site.told(snippet.name).catch(() => NOTHING_TOLD); // Why there is no answer is found out next.
    return { sent, stats, told, complaints, unsettled: stats?.state === "active" ? Math.max(openOf(stats, sent), stats.backlog) : 0 };
  }

  /** Keeps the snippet busy for as long as the neighbour is watched, then waits until it is done. */
  async #feed(snippet: Snippet, samples: number): Promise<{ sent: number; stats: FunctionStats | undefined }> {
    const { name, messagesMax } = snippet;
    const max = messagesMax ?? (samples === 0 ? MESSAGES_MIN : MESSAGES_MAX);
    const min = Math.min(max, MESSAGES_MIN);
    const busyUntil = performance.now() + (samples / 200) * 1_000;
    const patience = performance.now() + SETTLE_MS_MAX;
    // Seen twice: what wakes itself has moments without a message.
    for (let [sent, settledFor] = [0, 0]; ;) {
      const stats = await this.#site.function(name);
      const going = sent < min || (sent < max && performance.now() < busyUntil);
      const settled = stats !== undefined && openOf(stats, sent) <= 0 && stats.backlog === 0;
      settledFor = !going && settled ? settledFor + 1 : 0;
      if (settledFor >= 2 || performance.now() > patience) return { sent, stats };
      const room = stats === undefined || !going ? 0 : Math.min(OUTSTANDING_MAX - openOf(stats, sent), max - sent);
      for (let i = 0; i < room; i++) await this.#send(snippet, `k${sent++ % 3}`);
      await sleep(ROUND_MS);
    }
  }

  async #send({ name, asked, payload = "{}" }: Snippet, key: string): Promise<void> {
    if (asked === true) await this.#site.ask(`${name}/${key}`, payload);
    else await this.#sender.publishAsync(`hostile/${name}/${key}`, payload, { qos: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}

function openOf({ handled, deadLettered }: FunctionStats, sent: number): number {
  return sent - handled - deadLettered;
}
