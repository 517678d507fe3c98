import { setTimeout as sleep } from "node:timers/promises";
import { connectAsync, type MqttClient } from "mqtt";
import type { FunctionStats } from "../../src/core/stats.ts";
import { Neighbour, type Pace, RATE } from "./neighbour.ts";
import { HostileSite, type Told, until } from "./site.ts";
import { deployableOf, neighboursOf, type Snippet } from "./snippet.ts";

/** Messages that a snippet is sent at least and at most. */
const MESSAGES_MIN = 2;
const MESSAGES_MAX = 60;
/** Of these, not done with at any moment. */
const OUTSTANDING_MAX = 3;
const ROUND_MS = 50;
const SETTLE_MS_MAX = 60_000;
/** What is stored before a snippet migrates it, and read afterwards. */
const KEYS = ["k0", "k1", "k2"];
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
    let told = NOTHING_TOLD;
    try {
      const deployed = await deployableOf(snippet);
      const before = snippet.migrate === undefined ? undefined : await this.#store(snippet);
      // What does its harm while it is loaded is watched from then on.
      const loads = snippet.prelude !== undefined || snippet.code !== undefined || snippet.init !== undefined;
      if (loads) this.#neighbour.watch();
      stats = await this.#site.deploy(deployed);
      if (!loads) this.#neighbour.watch();
      if (stats.state === "active")
        ({ sent, stats } = await this.#feed(snippet, { samples, past: before === undefined ? 0 : doneOf(before) }));
      await this.#neighbour.watched(samples);
      told = await this.#site.told(snippet.name);
      if (before !== undefined) await this.#undo(snippet);
    } catch (error) {
      complaints.push(error instanceof Error ? error.message : String(error));
    }
    return { sent, stats, told, complaints, unsettled: stats?.state === "active" ? Math.max(openOf(stats, sent), stats.backlog) : 0 };
  }

  /** An earlier version of a snippet that migrates stores what that gets. */
  async #store(snippet: Snippet): Promise<FunctionStats> {
    const before = await neighboursOf(snippet).before();
    await this.#site.deploy(before);
    return this.#handled(snippet, 0);
  }

  /** @throws Error when the version that its author publishes to undo it does not find what the first one has stored */
  async #undo(snippet: Snippet): Promise<void> {
    const deployed = await this.#site.deploy(await neighboursOf(snippet).after());
    if (deployed.state !== "active") throw new Error(`the version that undoes it does not run: ${deployed.error}`);
    const { deadLettered } = await this.#handled(snippet, doneOf(deployed));
    if (deadLettered > deployed.deadLettered) throw new Error("the version that undoes it does not find what was stored, or does not run");
  }

  /** Sends a message of each key; resolves when all of them are done with, and `past` from before. */
  async #handled(snippet: Snippet, past: number): Promise<FunctionStats> {
    for (const key of KEYS) await this.#send(snippet, key);
    const settled = async (): Promise<FunctionStats | undefined> => {
      const stats = await this.#site.function(snippet.name);
      return stats !== undefined && doneOf(stats) >= past + KEYS.length ? stats : undefined;
    };
    return until(settled, `${KEYS.length} messages of "${snippet.name}" are done with`, SETTLE_MS_MAX);
  }

  /** Keeps the snippet busy for as long as the neighbour is watched, then waits until it is done. `past` messages are from before. */
  async #feed(
    snippet: Snippet,
    { samples, past }: { readonly samples: number; readonly past: number },
  ): Promise<{ sent: number; stats: FunctionStats | undefined }> {
    const { name, messagesMax } = snippet;
    const max = messagesMax ?? (samples === 0 ? MESSAGES_MIN : MESSAGES_MAX);
    const min = Math.min(max, MESSAGES_MIN);
    const startedAt = performance.now();
    const busyUntil = startedAt + (samples / RATE) * 1_000;
    // Seen twice: what wakes itself has moments without a message.
    for (let [sent, settledFor] = [0, 0]; ;) {
      const found = await this.#site.function(name);
      const stats = found === undefined ? undefined : { ...found, handled: found.handled - past };
      const open = stats === undefined ? 0 : openOf(stats, sent);
      const now = performance.now();
      // What is open is worked on until the end of the watch: another message would only be waited for.
      const eachMs = (now - startedAt) / Math.max(1, sent - open);
      const going = sent < min || (sent < max && now + Math.max(0, open) * eachMs < busyUntil);
      settledFor = !going && stats?.backlog === 0 && open <= 0 ? settledFor + 1 : 0;
      if (settledFor >= 2 || now > startedAt + SETTLE_MS_MAX) return { sent, stats };
      const room = stats === undefined || !going ? 0 : Math.min(OUTSTANDING_MAX - open, max - sent);
      for (let i = 0; i < room; i++) await this.#send(snippet, `k${sent++ % KEYS.length}`);
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

function doneOf({ handled, deadLettered }: FunctionStats): number {
  return handled + deadLettered;
}

function openOf({ handled, deadLettered }: FunctionStats, sent: number): number {
  return sent - handled - deadLettered;
}
