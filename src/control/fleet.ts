import type { GatewayInfo } from "../core/control-api.ts";
import { type Reported, reportedSchema } from "../core/link-messages.ts";
import { z } from "zod";
import type { Store } from "./store.ts";

const gatewayRow = z.object({ id: z.string(), reported: reportedSchema, connectedAt: z.date(), lastSeen: z.date() });

/** The gateways that ever said hello: what they last reported, and which are connected now. */
export class Fleet {
  readonly #store: Store;
  readonly #connected = new Set<string>();

  constructor(store: Store) {
    this.#store = store;
  }

  get connected(): ReadonlySet<string> {
    return this.#connected;
  }

  /** The link says that a connection began or ended. */
  async presence(gateway: string, connected: boolean): Promise<void> {
    if (connected) this.#connected.add(gateway);
    else this.#connected.delete(gateway);
    const began = connected ? ", connected_at = now()" : "";
    await this.#store.execute(`update gateways set last_seen = now()${began} where id = $1`, [gateway]);
  }

  async report(gateway: string, reported: Reported): Promise<void> {
    await this.#store.execute(
      `insert into gateways (id, reported, connected_at, last_seen) values ($1, $2::jsonb, now(), now())
       on conflict (id) do update set reported = excluded.reported, last_seen = excluded.last_seen`,
      [gateway, JSON.stringify(reported)],
    );
  }

  async list(): Promise<GatewayInfo[]> {
    const rows = await this.#store.query(
      gatewayRow,
      `select id, reported, connected_at as "connectedAt", last_seen as "lastSeen" from gateways order by id`,
    );
    return rows.map(({ id, reported, connectedAt, lastSeen }) => ({
      id,
      connected: this.#connected.has(id),
      lastSeen: lastSeen.toISOString(),
      connectedAt: connectedAt.toISOString(),
      version: reported.version,
      labels: reported.labels,
      revision: reported.revision,
      functions: reported.functions,
      drops: reported.drops,
    }));
  }
}
