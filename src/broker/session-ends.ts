import type { Aedes, Client } from "aedes";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { admittedOf } from "./access/admitted.ts";

/** How long a session outlives its connection (MQTT 5, 3.1.2.11.2), and since when it has none, in ms since 1970; absent while it has one. */
export interface SessionEnd {
  readonly id: string;
  readonly seconds: number;
  readonly since?: number | undefined;
  /** The user that it belongs to; absent for that of a client that did not say who it is. */
  readonly owner?: string | undefined;
}

interface Session {
  /** Undefined while there is no connection. */
  readonly client?: Client;
  readonly owner: string | undefined;
  /** As in a session end. */
  readonly seconds: number;
  readonly since?: number;
}

/** A session whose client is away. */
export interface AwaySession {
  readonly id: string;
  readonly owner: string | undefined;
  /** When its client left, in ms since 1970. */
  readonly since: number;
  /** When it ends; undefined for one that does not. */
  readonly endsAt: number | undefined;
}

/** Where the ends of sessions are kept, so that they survive a restart. */
interface Shelf {
  storeEnd(end: SessionEnd): Promise<void>;
  deleteEnd(id: string): Promise<void>;
  /** Takes what is stored of its subscriptions away. */
  endSubscriptions(id: string): Promise<void>;
  ends(): AsyncIterable<SessionEnd>;
}

/** Of sessions whose clients are away. */
export interface SessionLimits {
  readonly max: number;
  /** How long a client may be away, in seconds. */
  readonly ageSecondsMax: number;
}

interface Parts {
  readonly limits: SessionLimits;
  /** Whether a client with this id is being let in. */
  readonly isComing: (id: string) => boolean;
  /** Called with a session that ends because there are too many. */
  readonly ended: (id: string) => void;
}

/** What ends sessions. */
interface Ending {
  endLater(id: string, seconds: number): void;
  endSession(id: string): void;
}

/** The interval of a session that does not expire (MQTT 5, 3.1.2.11.2). */
export const NEVER_SECONDS = 0xff_ff_ff_ff;

/** Sessions that end for each one that is left, while there are too many: after a start most of their clients may be about to come back. */
const ENDED_AT_ONCE = 2;

/**
 * Knows which sessions there are, and lets them end in time also when the gateway was restarted while their clients were away; the engine's timers
 * end with the process. After a crash a session that was connected counts as left at the next start. Of too many the one ends that was left first.
 */
export class SessionEnds {
  readonly #shelf: Shelf;
  readonly #parts: Parts;
  readonly #logger: Logger;
  /** Those that have no connection, the one that was left first in front. */
  readonly #away = new Set<string>();
  /** Those that may end later than their connections. */
  readonly #sessions = new Map<string, Session>();
  /** One write after the other: of one session the last has to win. */
  #last: Promise<void> = Promise.resolve();
  /** Writes that have failed since the last one that has not. */
  #failures = 0;

  constructor(shelf: Shelf, parts: Parts, logger: Logger) {
    this.#shelf = shelf;
    this.#parts = parts;
    this.#logger = logger;
  }

  /** To be called when the engine has started and takes no clients yet. */
  async follow(aedes: Aedes & Ending, now: number): Promise<void> {
    const found: (SessionEnd & { readonly since: number })[] = [];
    for await (const { since = now, ...end } of this.#shelf.ends()) found.push({ ...end, since });
    for (const { id, seconds, since, owner } of found.toSorted((a, b) => a.since - b.since)) {
      this.#sessions.set(id, { owner, since, seconds });
      this.#away.add(id);
      this.#write(() => this.#shelf.storeEnd({ id, seconds, since, owner }));
      const most = this.#most(seconds);
      if (most < NEVER_SECONDS) aedes.endLater(id, Math.max(0.001, (since - now) / 1_000 + most));
    }
    aedes.on("client", (client) => this.#begun(client));
    aedes.on("clientDisconnect", (client) => {
      // A connection that was taken over may end after the one that took its place has begun.
      if (this.#sessions.get(client.id)?.client !== client) return;
      if (secondsOf(client) === 0) this.#forget(client.id);
      else this.#left(client, aedes);
    });
    aedes.on("sessionExpired", ({ id }) => this.#expired(id));
  }

  /** Resolves when everything that was to be kept is. */
  async close(): Promise<void> {
    await this.#last;
  }

  /** Sessions whose clients are away. */
  get away(): number {
    return this.#away.size;
  }

  /** The same, one by one: the one that was left first in front. */
  *sessionsAway(): Generator<AwaySession> {
    for (const id of this.#away) {
      const { owner, since, seconds = 0 } = this.#sessions.get(id) ?? {};
      if (since === undefined) continue;
      const most = this.#most(seconds);
      yield { id, owner, since, endsAt: most < NEVER_SECONDS ? since + most * 1_000 : undefined };
    }
  }

  /** How long a client with such a session may be away. */
  #most(seconds: number): number {
    return Math.min(seconds, this.#parts.limits.ageSecondsMax);
  }

  /** Whether the client has a session, with a connection or without. */
  has(id: string): boolean {
    return this.#sessions.has(id);
  }

  /** The user that the session with this id belongs to, with a connection or without; undefined when it is anybody's, and when there is none. */
  ownerOf(id: string): string | undefined {
    return this.#sessions.get(id)?.owner;
  }

  /** Before version 5 a session ends with its connection or never. One that is resumed to end with it has to end after a crash too. */
  #begun(client: Client): void {
    if (client.clean) return this.#forget(client.id);
    this.#sessions.set(client.id, { client, owner: admittedOf(client)?.identity.user, seconds: secondsOf(client) });
    this.#away.delete(client.id);
    this.#keep(client, undefined);
  }

  #left(client: Client, aedes: Aedes & Ending): void {
    const since = Date.now();
    this.#keep(client, since);
    this.#sessions.set(client.id, { owner: this.ownerOf(client.id), seconds: secondsOf(client), since });
    this.#away.add(client.id);
    const { limits, isComing, ended } = this.#parts;
    // While the broker closes everybody leaves, and one that is taken over is back at once.
    if (aedes.closed || isComing(client.id)) return;
    let count = 0;
    for (const id of this.#away) {
      if (this.#away.size <= limits.max || count >= ENDED_AT_ONCE) return;
      if (isComing(id)) continue;
      count++;
      ended(id);
      aedes.endSession(id);
    }
  }

  #keep(client: Client, since: number | undefined): void {
    const owner = this.ownerOf(client.id);
    this.#write(() => this.#shelf.storeEnd({ id: client.id, seconds: secondsOf(client), since, owner }));
  }

  /** The engine takes subscriptions away too, but not before the broker closes; without its end such a session would stay forever. */
  #expired(id: string): void {
    if (this.#sessions.has(id)) this.#write(async () => (this.#sessions.has(id) ? undefined : this.#shelf.endSubscriptions(id)));
    this.#forget(id);
  }

  #forget(id: string): void {
    this.#away.delete(id);
    if (this.#sessions.delete(id)) this.#write(() => this.#shelf.deleteEnd(id));
  }

  #write(write: () => Promise<void>): void {
    this.#last = this.#last.then(write).then(
      () => this.#stored(),
      (error: unknown) => {
        // On a full disk every client that comes or goes has one.
        if (this.#failures++ === 0) this.#logger.error({ error: messageOf(error) }, "how long a session is kept could not be stored");
      },
    );
  }

  #stored(): void {
    if (this.#failures > 0) this.#logger.info({ failures: this.#failures }, "how long sessions are kept can be stored again");
    this.#failures = 0;
  }
}

/** A DISCONNECT may change it. */
function secondsOf(client: Client): number {
  return Reflect.get(client, "sessionExpiryInterval");
}
