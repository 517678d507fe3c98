import type { Aedes, Client } from "aedes";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { noteResumed } from "./connack.ts";
import { REASON } from "./reasons.ts";
import { Receives } from "./receives.ts";
import { Resends } from "./resends.ts";

/** What is stored of sessions. */
interface Ledger {
  /** Resolves when no packet id of a QoS 2 message is left, and nothing waits for the client, also after a crash. */
  clear(client: string): Promise<void>;
  /** Whether the client has a session that outlives a connection. */
  has(client: string): boolean;
  readonly wills: {
    /** Publishes the will of a session that ends, if it was to wait for the client. */
    sessionEnded(client: string): void;
    /** Resolves when a will that is due is published. */
    settled(client: string): Promise<void>;
  };
}

/**
 * Ends what belongs to a session, beside what the protocol engine stores of it, when the session ends: the packet ids of messages that are on
 * their way. One that outlived its session would make a new message with the same id look like one that is known.
 */
export class OpenMessages {
  readonly resends: Resends;
  readonly receives = new Receives();
  readonly #ledger: Ledger;
  readonly #logger: Logger;
  readonly #connections = new Map<string, Client>();
  /** Sessions whose end is not on disk yet. */
  readonly #ending = new Map<string, Promise<void>>();
  /** Settle when those who have begun to connect with an id are known, or gone. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #endTurn = new WeakMap<Client, () => void>();

  constructor(ledger: Ledger, options: { readonly inflightMax: number }, logger: Logger) {
    this.#ledger = ledger;
    this.#logger = logger;
    this.resends = new Resends(options.inflightMax);
  }

  follow(aedes: Aedes): void {
    aedes.on("sessionExpired", (client) => this.end(client.id));
    aedes.on("client", (client) => {
      this.#connections.set(client.id, client);
      this.#endTurn.get(client)?.();
    });
    aedes.on("clientDisconnect", (client) => {
      // A connection that was taken over may end after the one that took its place has begun, and must not end that one's session.
      if (this.#connections.get(client.id) !== client) return;
      this.#connections.delete(client.id);
      if (endsWithConnection(client)) this.end(client.id);
      else this.resends.disconnected(client.id);
    });
  }

  /** What messages of a client have to wait for: until a session's end is on disk, packet ids of the next one could be taken for its own. */
  ending(client: string): Promise<void> | undefined {
    return this.#ending.size === 0 ? undefined : this.#ending.get(client);
  }

  /** Whether a client with this id has begun to connect, and is not known yet. */
  isComing(client: string): boolean {
    return this.#turns.has(client);
  }

  /**
   * Resolves when the client may be let in. One that starts anew has no message open, whatever it left behind (MQTT 5, 3.1.2.4), and nor has one
   * that takes over a connection with which its session ends. Of several that come with one id at the same time each takes over the one before.
   */
  async begin(client: Client): Promise<void> {
    await this.#turn(client);
    const before = this.#connections.get(client.id);
    const startsAnew = Reflect.get(client, "_cleanStart") === true || (before !== undefined && endsWithConnection(before));
    if (!startsAnew) {
      await this.#ledger.wills.settled(client.id);
      await this.#ending.get(client.id);
      if (!this.#ledger.has(client.id)) return;
      noteResumed(client);
      // To the engine a session that is to end with this connection has nothing stored, also one that is resumed.
      if (client.clean) Reflect.set(client, "clean", false);
      return;
    }
    // It must not take messages any more when its packet ids are forgotten.
    if (before !== undefined) await new Promise<void>((ended) => before.disconnect({ reasonCode: REASON.sessionTakenOver }, ended));
    // The will is due when the session ends, if not before (MQTT 5, 3.1.3.2.2).
    this.#ledger.wills.sessionEnded(client.id);
    await this.#ledger.wills.settled(client.id);
    await this.#clear(client.id);
  }

  async #turn(client: Client): Promise<void> {
    const { id, conn } = client;
    const before = this.#turns.get(id);
    const own = Promise.withResolvers<void>();
    this.#endTurn.set(client, own.resolve);
    if (conn.destroyed) own.resolve();
    else conn.once("close", own.resolve);
    const ended = Promise.all([before, own.promise]).then(() => undefined);
    this.#turns.set(id, ended);
    void ended.then(() => this.#turns.get(id) === ended && this.#turns.delete(id));
    await before;
  }

  /** Forgets what is left of a session. */
  end(client: string): void {
    const ending = this.#clear(client);
    this.#ending.set(client, ending);
    const ended = (): void => {
      if (this.#ending.get(client) === ending) this.#ending.delete(client);
    };
    // Before anybody who waits for it goes on.
    ending.then(ended, (error: unknown) => {
      ended();
      this.#logger.error({ error: messageOf(error) }, "a session could not be cleared");
    });
  }

  async #clear(client: string): Promise<void> {
    this.resends.clear(client);
    await this.receives.clear(client);
    await this.#ledger.clear(client);
  }
}

/** Of every version; a DISCONNECT may change it. */
function endsWithConnection(client: Client): boolean {
  return Reflect.get(client, "sessionExpiryInterval") === 0;
}
