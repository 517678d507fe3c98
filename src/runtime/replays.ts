import { randomUUID } from "node:crypto";
import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import type { RecordedMessage } from "../core/recording.ts";
import type { ReplayResult } from "../core/stats.ts";
import { type Deployment, runningVersion } from "./hand-in.ts";
import type { HostGroups } from "./host-groups.ts";
import { HostPool } from "./hosts.ts";
import { Rehearsal, type RehearsalOptions } from "./rehearsal.ts";

/** Each has a host process of its own. */
const REPLAYS_MAX = 2;
/** Whoever began it has gone. */
const IDLE_MS_MAX = 60_000;
/** After this long a page of messages is answered with what there is, so that nobody has to wait for slow handlers without an answer. */
const PAGE_MS_MAX = 5_000;

interface ReplaySpec {
  readonly bundle: Bundle;
  readonly version: number;
  readonly state: RehearsalOptions["state"];
}

export interface ReplayedPage {
  /** How many of the messages are done with; the rest has to be sent again. */
  readonly taken: number;
  /** One for each of them that wakes the function. */
  readonly results: readonly ReplayResult[];
}

/** Recorded messages handed to a version in one isolate, in order, without committing anything. */
export class Replay implements AsyncDisposable {
  readonly #rehearsal: Rehearsal;
  readonly #hosts: HostPool;
  #last: Promise<unknown> = Promise.resolve();
  #stopped = false;
  readonly close: () => Promise<void>;

  private constructor(rehearsal: Rehearsal, hosts: HostPool) {
    this.#rehearsal = rehearsal;
    this.#hosts = hosts;
    this.close = once(async () => {
      this.#stopped = true;
      await this.#rehearsal[Symbol.asyncDispose]();
      await this.#hosts.close();
    });
  }

  /**
   * In a host process of its own: code that is only being tried may take it down.
   * @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED
   */
  static async open({ bundle, version, state }: ReplaySpec, { gateway, hostGroups }: ReplayWhere, logger: Logger): Promise<Replay> {
    const hosts = new HostPool({ shared: 1, spare: false, groups: hostGroups }, logger);
    try {
      return new Replay(await Rehearsal.open(bundle, { hosts, gateway, version, state }), hosts);
    } catch (error) {
      await hosts.close();
      throw error;
    }
  }

  /** Pages are handled one after another. @throws MillraceError HOST_CRASHED, NOT_FOUND when it has ended */
  handle(messages: readonly RecordedMessage[]): Promise<ReplayedPage> {
    const run = (): Promise<ReplayedPage> => this.#handle(messages);
    const page = this.#last.then(run, run);
    this.#last = page;
    return page;
  }

  async #handle(messages: readonly RecordedMessage[]): Promise<ReplayedPage> {
    const until = performance.now() + PAGE_MS_MAX;
    const results: ReplayResult[] = [];
    let taken = 0;
    for (const message of messages) {
      if (this.#stopped || (taken > 0 && performance.now() > until)) break;
      const result = await this.#rehearsal.handle(message);
      if (result !== undefined) results.push({ seq: message.seq, time: message.time, topic: message.topic, ...result });
      taken++;
    }
    return { taken, results };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface ReplayRequest {
  /** A bundle, or the name of what runs. */
  readonly of: Bundle | string;
  readonly version?: number | undefined;
  readonly state: "current" | "empty";
}

/** Where a replay is: on a gateway, whose hosts may have control groups, or on the machine of somebody who tries something. */
interface ReplayWhere {
  readonly gateway: string;
  readonly hostGroups?: Pick<HostGroups, "create"> | undefined;
}

/** What replays need of the gateway that they are on. */
interface ReplayPlace extends ReplayWhere {
  readonly runtime: Deployment;
  readonly journal: { loadState(functionName: string, key: string): ReturnType<RehearsalOptions["state"]> };
}

interface Open {
  readonly replay: Promise<Replay>;
  readonly idle: NodeJS.Timeout;
}

/** The replays that clients of a gateway have begun. One that is left alone ends by itself. */
export class Replays implements AsyncDisposable {
  readonly #place: ReplayPlace;
  readonly #logger: Logger;
  readonly #open = new Map<string, Open>();
  #closed = false;
  readonly close: () => Promise<void>;

  constructor(place: ReplayPlace, logger: Logger) {
    this.#place = place;
    this.#logger = logger;
    this.close = once(async () => {
      this.#closed = true;
      await Promise.all([...this.#open.keys()].map((id) => this.end(id)));
    });
  }

  /**
   * Resolves with the id that `handle` and `end` take, and what it runs.
   * @throws MillraceError FUNCTION_UNKNOWN, NOT_FOUND when another version runs, TOO_MANY_REPLAYS, FUNCTION_LOAD_FAILED, HOST_CRASHED
   */
  async begin(request: ReplayRequest): Promise<{ id: string; function: string; version: number }> {
    const { bundle, version } =
      typeof request.of === "string"
        ? runningVersion(this.#place.runtime, request.of, request.version)
        : { version: 0, bundle: request.of };
    const { name } = bundle.manifest;
    const { journal } = this.#place;
    const spec: ReplaySpec = {
      bundle,
      version: request.version ?? version,
      state: (key) => (request.state === "empty" ? Promise.resolve([]) : journal.loadState(name, key)),
    };
    return { id: await this.#begin(spec), function: name, version: spec.version };
  }

  async #begin(spec: ReplaySpec): Promise<string> {
    if (this.#closed) throw new MillraceError("JOURNAL_CLOSED", "the gateway is stopping");
    if (this.#open.size >= REPLAYS_MAX) {
      throw new MillraceError(
        "TOO_MANY_REPLAYS",
        `${this.#open.size} replays are under way on this gateway, at most ${REPLAYS_MAX} may be`,
      );
    }
    const id = randomUUID();
    const replay = Replay.open(spec, this.#place, this.#logger);
    const idle = setTimeout(() => this.#forget(id), IDLE_MS_MAX).unref();
    this.#open.set(id, { replay, idle });
    try {
      await replay;
      return id;
    } catch (error) {
      this.#take(id);
      throw error;
    }
  }

  /** @throws MillraceError NOT_FOUND, HOST_CRASHED */
  async handle(id: string, messages: readonly RecordedMessage[]): Promise<ReplayedPage> {
    const open = this.#open.get(id);
    if (open === undefined)
      throw new MillraceError("NOT_FOUND", `no replay ${id.slice(0, 80)} is under way; it may have been left alone too long`);
    const replay = await open.replay;
    try {
      return await replay.handle(messages);
    } finally {
      open.idle.refresh();
    }
  }

  async end(id: string): Promise<void> {
    // One that could not be opened has closed itself.
    const replay = await this.#take(id)?.replay.catch(() => undefined);
    await replay?.close();
  }

  #take(id: string): Open | undefined {
    const open = this.#open.get(id);
    clearTimeout(open?.idle);
    this.#open.delete(id);
    return open;
  }

  #forget(id: string): void {
    this.end(id).catch((error: unknown) => this.#logger.error({ err: error }, "a replay that was left alone could not be ended"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
