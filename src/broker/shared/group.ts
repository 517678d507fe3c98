import { filterOfKey } from "../filters.ts";

/** Called with a message for the client that has subscribed. */
export type Listener = (packet: { readonly topic: string }, done: () => void) => void;

/** A client that has subscribed. */
export interface Member {
  readonly client: { readonly id: string; readonly subscriptions: Readonly<Record<string, { readonly func?: unknown }>> };
  /** What goes to it. */
  readonly forwarder: { readonly isReady: boolean; hasRoom(qos: number): boolean };
}

interface Connected extends Member {
  readonly listener: Listener;
}

/** Those who share a subscription: the members that are connected, and the sessions that are stored. */
export class Group {
  readonly key: string;
  readonly levels: readonly string[];
  readonly #connected: Connected[] = [];
  /** Ids of clients. */
  readonly #stored = new Set<string>();
  /** The same in a row, until there is a change. */
  #storedIds: readonly string[] | undefined;
  /** Where the search for the next member begins. */
  #turn = 0;

  constructor(key: string) {
    this.key = key;
    this.levels = filterOfKey(key).split("/");
  }

  get isEmpty(): boolean {
    return this.#connected.length === 0 && this.#stored.size === 0;
  }

  get isConnected(): boolean {
    return this.#connected.length > 0;
  }

  /** Whether there are sessions that get copies. */
  get isStored(): boolean {
    return this.#stored.size > 0;
  }

  add(member: Connected): void {
    this.#connected.push(member);
  }

  remove(listener: Listener): void {
    const at = this.#connected.findIndex((member) => member.listener === listener);
    if (at >= 0) this.#connected.splice(at, 1);
  }

  store(clientId: string): void {
    this.#stored.add(clientId);
    this.#storedIds = undefined;
  }

  unstore(clientId: string): void {
    this.#stored.delete(clientId);
    this.#storedIds = undefined;
  }

  /** The member with this id, when it is connected. */
  connected(clientId: string): Connected | undefined {
    return this.#connected.find(({ client, forwarder }) => client.id === clientId && forwarder.isReady);
  }

  /** Whether the member's session gets copies. */
  keepsFor(clientId: string): boolean {
    return this.#stored.has(clientId);
  }

  /**
   * The id of the member whose turn it is: among those who are connected one that has room, else any of them; without any, for a message that is
   * to wait, among the stored sessions. `except` is the id of one whose session has ended.
   */
  next(qos: number, except?: string): string | undefined {
    const { length } = this.#connected;
    let full: string | undefined;
    const turn = this.#turn;
    for (let step = 0; step < length; step++) {
      const at = (turn + step) % length;
      const member = this.#connected[at];
      if (member === undefined || member.client.id === except || !member.forwarder.isReady) continue;
      const hasRoom = member.forwarder.hasRoom(qos);
      if (!hasRoom && full !== undefined) continue;
      this.#turn = at + 1;
      full = member.client.id;
      if (hasRoom) return full;
    }
    return full ?? (qos === 0 ? undefined : this.#nextStored(except));
  }

  #nextStored(except: string | undefined): string | undefined {
    const ids = (this.#storedIds ??= [...this.#stored]);
    for (let step = 0; step < ids.length; step++) {
      const at = (this.#turn + step) % ids.length;
      const id = ids[at];
      if (id === undefined || id === except) continue;
      this.#turn = at + 1;
      return id;
    }
    return undefined;
  }
}
