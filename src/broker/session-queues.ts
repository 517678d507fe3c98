import { outgoingOf } from "./outgoing.ts";
import { type QueueClient, SessionQueue } from "./session-queue.ts";
import { SessionShelf, type ShelfParts } from "./session-shelf.ts";
import type { SharedGroups } from "./shared/groups.ts";

/** The queues of the sessions whose clients are connected. */
export class SessionQueues {
  readonly #parts: ShelfParts;
  readonly #groups: SharedGroups;
  readonly #queues = new WeakMap<object, SessionQueue>();
  /** The one that sends, by client id. */
  readonly #sending = new Map<string, SessionQueue>();

  constructor(parts: ShelfParts, groups: SharedGroups) {
    this.#parts = parts;
    this.#groups = groups;
  }

  /** Undefined when nothing is stored for the client: its session began with its connection and ends with it. */
  of(connected: object): SessionQueue | undefined {
    const known = this.#queues.get(connected);
    if (known !== undefined) return known;
    const client = connected as QueueClient;
    const outgoing = outgoingOf(client.conn);
    if (outgoing === undefined || client.clean) return undefined;
    const queue = new SessionQueue({ client, outgoing, shelf: new SessionShelf(this.#parts, client.id), groups: this.#groups });
    this.#queues.set(client, queue);
    return queue;
  }

  /** Whether the client is connected and gets messages as they come. */
  keepsUp(client: string): boolean {
    return this.#sending.get(client)?.isFree === true;
  }

  /** To be called when the client's CONNACK is sent. A connection that it takes the session from sends nothing more. */
  begin(connected: object): void {
    const queue = this.of(connected);
    if (queue === undefined) return;
    const { id, conn } = connected as QueueClient;
    this.#sending.get(id)?.end();
    this.#sending.set(id, queue);
    conn.once("close", () => {
      queue.end();
      if (this.#sending.get(id) === queue) this.#sending.delete(id);
    });
    queue.begin();
  }
}
