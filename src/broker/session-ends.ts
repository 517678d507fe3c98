import type { Aedes, Client } from "aedes";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

/** How long a session outlives its connection (MQTT 5, 3.1.2.11.2), and since when it has none, in ms since 1970; absent while it has one. */
export interface SessionEnd {
  readonly id: string;
  readonly seconds: number;
  readonly since?: number | undefined;
}

/** Where the ends of sessions are kept, so that they survive a restart. */
interface Shelf {
  storeEnd(end: SessionEnd): Promise<void>;
  deleteEnd(id: string): Promise<void>;
  ends(): AsyncIterable<SessionEnd>;
}

/** The interval of a session that does not expire (MQTT 5, 3.1.2.11.2). */
const NEVER_SECONDS = 0xff_ff_ff_ff;

/**
 * Knows which sessions there are, and lets them end in time also when the gateway was restarted while their clients were away; the engine's timers
 * end with the process. After a crash a session that was connected counts as left at the next start.
 */
export class SessionEnds {
  readonly #shelf: Shelf;
  readonly #logger: Logger;
  /** The connections of sessions that may end later, and the ids of those that have none. */
  readonly #sessions = new Map<string, Client | undefined>();
  /** One write after the other: of one session the last has to win. */
  #last: Promise<void> = Promise.resolve();
  /** Writes that have failed since the last one that has not. */
  #failures = 0;

  constructor(shelf: Shelf, logger: Logger) {
    this.#shelf = shelf;
    this.#logger = logger;
  }

  /** To be called when the engine has started and takes no clients yet. */
  async follow(aedes: Aedes, now: number): Promise<void> {
    const schedule = Reflect.get(aedes, "scheduleSessionExpiry") as (this: Aedes, session: object) => void;
    for await (const { id, seconds, since = now } of this.#shelf.ends()) {
      this.#sessions.set(id, undefined);
      this.#write(() => this.#shelf.storeEnd({ id, seconds, since }));
      if (seconds >= NEVER_SECONDS) continue;
      const left = Math.max(0.001, (since - now) / 1_000 + seconds);
      // What the engine uses of a client that is gone. What waits in its queue goes when the session is said to have expired.
      schedule.call(aedes, { id, version: 5, clean: false, sessionExpiryInterval: left, emptyOutgoingQueue: (done: () => void) => done() });
    }
    aedes.on("client", (client) => this.#begun(client));
    aedes.on("clientDisconnect", (client) => {
      // A connection that was taken over may end after the one that took its place has begun.
      if (this.#sessions.get(client.id) !== client) return;
      if (secondsOf(client) === 0) this.#forget(client.id);
      else this.#keep(client, Date.now());
    });
    aedes.on("sessionExpired", ({ id }) => this.#forget(id));
  }

  /** Resolves when everything that was to be kept is. */
  async close(): Promise<void> {
    await this.#last;
  }

  /** Whether the client has a session, with a connection or without. */
  has(id: string): boolean {
    return this.#sessions.has(id);
  }

  /** Before version 5 a session ends with its connection or never. One that is resumed to end with it has to end after a crash too. */
  #begun(client: Client): void {
    if (client.clean) return this.#forget(client.id);
    this.#sessions.set(client.id, client);
    this.#keep(client, undefined);
  }

  #keep(client: Client, since: number | undefined): void {
    this.#write(() => this.#shelf.storeEnd({ id: client.id, seconds: secondsOf(client), since }));
  }

  #forget(id: string): void {
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
