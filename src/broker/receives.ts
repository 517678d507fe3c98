type Done = (error?: Error, duplicate?: boolean) => void;

const RECEIVE = Symbol("receive");

/** A QoS 2 message from its arrival until its packet id is stored. */
export interface Receive {
  /** What is known of it: nothing yet; that its id is not stored; that the journal has it together with its id. */
  state: "unknown" | "new" | "journaled";
  /** Its session has ended: the packet id is free or stands for another message. */
  ended: boolean;
  /** The write of its packet id. */
  storing: Promise<void> | undefined;
  /** To be called when its packet id is stored, or when it never will be. */
  settle(error?: Error): void;
}

interface Open extends Receive {
  /** Those who sent the same again meanwhile. */
  waiting: Done[] | undefined;
}

/** Of a packet that `Receives.take` was called for, unless it was sent again. */
export function receiveOf(packet: object): Receive | undefined {
  return Reflect.get(packet, RECEIVE) as Receive | undefined;
}

/**
 * The packet ids of QoS 2 messages that are on their way into the journal and into the sessions of subscribers. A PUBLISH with such an id is
 * the same message (MQTT 5, 4.3.3) and gets its PUBREC with the first one, when everything that a PUBREC promises is on disk.
 */
export class Receives {
  readonly #sessions = new Map<string, Map<number, Open>>();

  /** How many messages are on their way. */
  get size(): number {
    let size = 0;
    for (const session of this.#sessions.values()) size += session.size;
    return size;
  }

  /**
   * Calls `begin` unless the message is on its way already; `done` is called when it may be acknowledged, either way. One that was sent again
   * waits for the packet id too: it could be released before it is stored.
   */
  take(sent: { client: string; id: number; packet: object }, begin: (receive: Receive, done: Done) => void, done: Done): void {
    const { client, id, packet } = sent;
    const known = this.#sessions.get(client)?.get(id);
    if (known !== undefined) {
      (known.waiting ??= []).push(done);
      return;
    }
    const receive = this.#add(client, id);
    Object.defineProperty(packet, RECEIVE, { value: receive });
    begin(receive, (error, duplicate) => {
      done(error, duplicate);
      if (error !== undefined || duplicate === true || receive.state === "journaled") receive.settle(error);
    });
  }

  /** The session has ended. Resolves when no packet id of it is being stored any more. */
  async clear(client: string): Promise<void> {
    const session = this.#sessions.get(client);
    if (session === undefined) return;
    this.#sessions.delete(client);
    for (const receive of session.values()) receive.ended = true;
    await Promise.allSettled([...session.values()].flatMap(({ storing }) => (storing === undefined ? [] : [storing])));
  }

  #add(client: string, id: number): Open {
    const session = this.#sessions.get(client) ?? new Map<number, Open>();
    this.#sessions.set(client, session);
    const receive: Open = {
      state: "unknown",
      ended: false,
      storing: undefined,
      waiting: undefined,
      settle: (error) => {
        if (session.get(id) === receive) session.delete(id);
        if (session.size === 0 && this.#sessions.get(client) === session) this.#sessions.delete(client);
        for (const other of receive.waiting ?? []) other(error, true);
        receive.waiting = undefined;
      },
    };
    session.set(id, receive);
    return receive;
  }
}
