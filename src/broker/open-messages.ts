import type { Aedes, Client } from "aedes";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { Receives } from "./receives.ts";
import { Resends } from "./resends.ts";

/** Where the packet ids of QoS 2 messages are; `clear` resolves when a client has none any more, also after a crash. */
interface Ledger {
  clear(client: string): Promise<void>;
}

/** "Session taken over" (MQTT 5, 3.14.2.1). */
const TAKEN_OVER = 0x8e;

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

  constructor(ledger: Ledger, options: { readonly inflightMax: number }, logger: Logger) {
    this.#ledger = ledger;
    this.#logger = logger;
    this.resends = new Resends(options.inflightMax);
  }

  follow(aedes: Aedes): void {
    aedes.on("sessionExpired", (client) => this.#end(client.id));
    aedes.on("client", (client) => this.#connections.set(client.id, client));
    aedes.on("clientDisconnect", (client) => {
      // A connection that was taken over may end after the one that took its place has begun, and must not end that one's session.
      if (this.#connections.get(client.id) !== client) return;
      this.#connections.delete(client.id);
      if (client.clean) this.#end(client.id);
      else this.resends.disconnected(client.id);
    });
  }

  /**
   * Resolves when the client may be let in. One that starts anew has no message open, whatever it left behind (MQTT 5, 3.1.2.4), and nor has one
   * that takes over a connection with which its session ends.
   */
  async begin(client: Client): Promise<void> {
    const before = this.#connections.get(client.id);
    const startsAnew = client.clean || Reflect.get(client, "_cleanStart") === true || before?.clean === true;
    if (!startsAnew) return this.#ending.get(client.id);
    // It must not take messages any more when its packet ids are forgotten.
    if (before !== undefined) await new Promise<void>((ended) => before.disconnect({ reasonCode: TAKEN_OVER }, ended));
    await this.#clear(client.id);
  }

  #end(client: string): void {
    const ending = this.#clear(client).finally(() => {
      if (this.#ending.get(client) === ending) this.#ending.delete(client);
    });
    this.#ending.set(client, ending);
    ending.catch((error: unknown) => this.#logger.error({ error: messageOf(error) }, "a session could not be cleared"));
  }

  async #clear(client: string): Promise<void> {
    this.resends.clear(client);
    await this.receives.clear(client);
    await this.#ledger.clear(client);
  }
}
