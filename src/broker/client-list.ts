import type { Client } from "aedes";
import type { ClientInfo, ClientQuery, ClientSource, SessionInfo } from "../core/client-info.ts";
import { type Admitted, admittedOf } from "./access/admitted.ts";
import { filterAsSent } from "./filters.ts";
import { forwarderOf } from "./forward.ts";
import { REASON } from "./reasons.ts";
import type { AwaySession } from "./session-ends.ts";

interface Parts {
  /** Who is connected, by id. */
  clients(): Readonly<Record<string, Client>>;
  /** Whether there is a session with this id that outlives its connection. */
  hasSession(client: string): boolean;
  ownerOf(client: string): string | undefined;
  /** The one that was left first in front. */
  away(): Iterable<AwaySession>;
  /** Ends the session of a client that is away. */
  endSession(client: string): void;
  /** What is in the queue of a session. */
  queued(client: string): { readonly messages: number; readonly bytes: number };
  /** Notes what an operator has done to whom. */
  note(command: "disconnect" | "forget", whom: { readonly client: string; readonly user: string | undefined }): void;
}

/** Who is connected and whose session waits, for an operator to look at and to end. */
export class ClientList implements ClientSource {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  list({ limit, user }: ClientQuery): ClientInfo[] {
    return Object.values(this.#parts.clients())
      .flatMap((client) => {
        const admitted = admittedOf(client);
        return admitted === undefined || (user !== undefined && admitted.identity.user !== user) ? [] : [{ client, admitted }];
      })
      .toSorted((a, b) => (a.client.id < b.client.id ? -1 : 1))
      .slice(0, limit)
      .map(({ client, admitted }) => this.#infoOf(client, admitted));
  }

  sessionsAway({ limit, user }: ClientQuery): SessionInfo[] {
    const found: SessionInfo[] = [];
    for (const { id, owner, since, endsAt } of this.#parts.away()) {
      if (found.length >= limit) break;
      if (user !== undefined && owner !== user) continue;
      const { messages: queued, bytes: queuedBytes } = this.#parts.queued(id);
      found.push({
        id,
        ...(owner === undefined ? {} : { user: owner }),
        since,
        ...(endsAt === undefined ? {} : { endsAt }),
        queued,
        queuedBytes,
      });
    }
    return found;
  }

  /** Ends a connection: "administrative action" in version 5 (3.14.2.1). False when nobody is connected with this id. */
  disconnect(id: string): boolean {
    const client = this.#parts.clients()[id];
    if (client === undefined) return false;
    this.#parts.note("disconnect", { client: id, user: admittedOf(client)?.identity.user });
    client.disconnect({ reasonCode: REASON.administrativeAction });
    return true;
  }

  /** Ends the session of a client, with its connection if it has one, so that another user may have its id. False when there is neither. */
  async forget(id: string): Promise<boolean> {
    const client = this.#parts.clients()[id];
    if (client === undefined && !this.#parts.hasSession(id)) return false;
    this.#parts.note("forget", { client: id, user: admittedOf(client ?? {})?.identity.user ?? this.#parts.ownerOf(id) });
    if (client !== undefined)
      await new Promise<void>((ended) => client.disconnect({ reasonCode: REASON.administrativeAction }, () => ended()));
    if (this.#parts.hasSession(id)) this.#parts.endSession(id);
    return true;
  }

  #infoOf(client: Client, { identity, arrival, since }: Admitted): ClientInfo {
    const { id, conn, clean } = client;
    const stored = clean ? 0 : this.#parts.queued(id).messages;
    return {
      id,
      ...(identity.user === undefined ? {} : { user: identity.user }),
      ...(arrival.address === undefined ? {} : { address: arrival.address }),
      listener: arrival.listener,
      proof: identity.proof,
      version: client.version,
      since,
      subscriptions: Object.keys(Reflect.get(client, "subscriptions") as object).map(filterAsSent),
      queued: stored + (forwarderOf(client)?.waiting ?? 0),
      bytesIn: numberOf(conn, "bytesRead"),
      bytesOut: numberOf(conn, "bytesWritten"),
    };
  }
}

/** Not every stream counts. */
function numberOf(stream: object, name: string): number {
  const value: unknown = Reflect.get(stream, name);
  return typeof value === "number" ? value : 0;
}
