import { createHash } from "node:crypto";

type Done = (error?: Error, duplicate?: boolean) => void;

/** What tells whether an acknowledgement would still reach a client. */
export interface ResendingClient {
  readonly id: string;
  /** Whether its session ends with the connection. */
  readonly clean: boolean;
  /** The connection is up but not everything about it is in place; packets are answered already. */
  readonly connecting: boolean;
  readonly connected: boolean;
  readonly closed: boolean;
  readonly conn: { readonly writable: boolean };
}

interface Publish {
  readonly messageId?: number;
  readonly dup?: boolean;
  readonly topic: string;
  readonly payload: string | Buffer;
}

interface Taken {
  journaled: boolean;
  /** What was taken: the packet while it is on its way, its digest afterwards. */
  content: Publish | string;
  /** Those who sent the same again meanwhile. */
  waiting: { readonly client: ResendingClient; readonly done: Done }[] | undefined;
}

/** Packet ids that are remembered in all. */
const IDS_MAX = 100_000;

/**
 * The packet ids of QoS 1 messages that were taken and not acknowledged yet. Until the PUBACK is sent, a PUBLISH with DUP and the same packet id
 * is the same message (MQTT 5, 4.3.2) if it has the same topic and payload, on the same connection or after the session was resumed; afterwards
 * it is another one [MQTT-4.3.2-5], whether the acknowledgement arrived or not. Kept in memory: after a restart of the gateway a message that is
 * sent again counts as another.
 */
export class Resends {
  readonly #sessions = new Map<string, Map<number, Taken>>();
  readonly #perSessionMax: number;
  #ids = 0;

  constructor(perSessionMax: number) {
    this.#perSessionMax = perSessionMax;
  }

  /** How many packet ids are remembered. */
  get ids(): number {
    return this.#ids;
  }

  /** Calls `append` unless the message is known; `done` is called when it is in the journal, either way. */
  take(sent: { client: ResendingClient; packet: Publish }, append: (done: Done) => void, done: Done): void {
    const { client, packet } = sent;
    const id = packet.messageId ?? 0;
    const session = this.#session(client.id);
    const entry = packet.dup === true ? session.get(id) : undefined;
    const known = entry !== undefined && isSame(entry.content, packet) ? entry : undefined;
    if (known === undefined) {
      const taken: Taken = { journaled: false, content: packet, waiting: undefined };
      this.#remember(session, id, taken);
      append((error) => {
        taken.journaled = true;
        const acknowledged = isLive(client) || taken.waiting?.some((other) => isLive(other.client)) === true;
        if (error !== undefined || acknowledged || client.clean) this.#forget(session, id, taken);
        else taken.content = digest(packet);
        done(error);
        for (const other of taken.waiting ?? []) other.done(error, true);
      });
    } else if (known.journaled) {
      if (isLive(client)) this.#forget(session, id, known);
      done(undefined, true);
    } else {
      (known.waiting ??= []).push({ client, done });
    }
  }

  /** The session has ended. */
  clear(clientId: string): void {
    const session = this.#sessions.get(clientId);
    this.#ids -= session?.size ?? 0;
    session?.clear(); // What is still on its way to the journal finds nothing to forget.
    this.#sessions.delete(clientId);
  }

  /** The connection has ended; the session may go on. */
  disconnected(clientId: string): void {
    if (this.#sessions.get(clientId)?.size === 0) this.#sessions.delete(clientId);
  }

  #session(clientId: string): Map<number, Taken> {
    let session = this.#sessions.get(clientId);
    if (session === undefined) {
      session = new Map();
      this.#sessions.set(clientId, session);
    }
    return session;
  }

  #remember(session: Map<number, Taken>, id: number, taken: Taken): void {
    if (session.delete(id)) this.#ids--;
    if (session.size >= this.#perSessionMax || this.#ids >= IDS_MAX) {
      const [oldest] = session.keys();
      if (oldest === undefined) return; // Others have taken all the room: a resend of this one will count as another message.
      session.delete(oldest);
      this.#ids--;
    }
    session.set(id, taken);
    this.#ids++;
  }

  #forget(session: Map<number, Taken>, id: number, taken: Taken): void {
    if (session.get(id) !== taken) return;
    session.delete(id);
    this.#ids--;
  }
}

/** A device that lost its memory may use the packet id for another message, and send that one again. */
function isSame(content: Publish | string, packet: Publish): boolean {
  return (typeof content === "string" ? content : digest(content)) === digest(packet);
}

function digest({ topic, payload }: Publish): string {
  return createHash("sha256").update(`${topic}\0`).update(payload).digest("base64");
}

function isLive({ connecting, connected, closed, conn }: ResendingClient): boolean {
  return (connecting || connected) && !closed && conn.writable;
}
