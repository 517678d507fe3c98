import type { Client } from "aedes";
import type { ClientInfo } from "../core/client-info.ts";
import { type Admitted, admittedOf } from "./access/admitted.ts";
import { filterAsSent } from "./filters.ts";
import { forwarderOf } from "./forward.ts";
import { REASON } from "./reasons.ts";

interface Parts {
  /** Who is connected, by id. */
  clients(): Readonly<Record<string, Client>>;
  /** Whether there is a session with this id that outlives its connection. */
  hasSession(client: string): boolean;
  /** Ends the session of a client that is away. */
  endSession(client: string): void;
  /** Messages in the queue of a session, at most `max`. */
  waiting(client: string, max: number): Promise<number>;
}

const QUEUED_MAX = 10_000;

/** Who is connected, for an operator to look at and to cut off. */
export class ClientList {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The first `limit` by id; those of one user when it is named. */
  async list({ limit, user }: { readonly limit: number; readonly user?: string | undefined }): Promise<ClientInfo[]> {
    const found = Object.values(this.#parts.clients())
      .flatMap((client) => {
        const admitted = admittedOf(client);
        return admitted === undefined || (user !== undefined && admitted.identity.user !== user) ? [] : [{ client, admitted }];
      })
      .toSorted((a, b) => (a.client.id < b.client.id ? -1 : 1))
      .slice(0, limit);
    const infos: ClientInfo[] = [];
    for (const { client, admitted } of found) infos.push(await this.#infoOf(client, admitted));
    return infos;
  }

  /** Ends a connection: "administrative action" in version 5 (3.14.2.1). False when nobody is connected with this id. */
  disconnect(id: string): boolean {
    const client = this.#parts.clients()[id];
    if (client === undefined) return false;
    // Paho for Python looks at the code only when there is something behind it.
    client.disconnect({ reasonCode: REASON.administrativeAction, properties: { reasonString: "it was disconnected by an operator" } });
    return true;
  }

  /** Ends the session of a client, with its connection if it has one, so that another user may have its id. False when there is neither. */
  async forget(id: string): Promise<boolean> {
    const client = this.#parts.clients()[id];
    if (client !== undefined)
      await new Promise<void>((ended) => client.disconnect({ reasonCode: REASON.administrativeAction }, () => ended()));
    if (!this.#parts.hasSession(id)) return client !== undefined;
    this.#parts.endSession(id);
    return true;
  }

  async #infoOf(client: Client, { identity, arrival, since }: Admitted): Promise<ClientInfo> {
    const { id, conn, clean } = client;
    const stored = clean ? 0 : await this.#parts.waiting(id, QUEUED_MAX);
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
