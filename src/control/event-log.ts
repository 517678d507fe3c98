import type { EventsPage } from "../core/control-api.ts";
import type { CloudEvent } from "../core/event.ts";
import { z } from "zod";
import type { Queryable, Store } from "./store.ts";

/** Which events to read, in the order of their positions. */
export interface EventsQuery {
  /** Only events behind this position, in the chosen order. */
  readonly after?: number | undefined;
  readonly limit: number;
  readonly order: "asc" | "desc";
  readonly function?: string | undefined;
  readonly gateway?: string | undefined;
  readonly type?: string | undefined;
}

/** The rows of one batch, ready for the store: a JSON array of objects with the one-letter names of `INSERT`. */
export interface EventRows {
  readonly gateway: string;
  readonly json: string;
  readonly count: number;
}

/**
 * The positions are counted in the transaction and not drawn from a sequence: the lock on the counter makes the order of positions the
 * order of commits, so a reader that pages by `after` never skips an event that was still on its way. It also costs less.
 */
const INSERT = `
  insert into events (position, id, gateway, function, version, type, subject, time, data, received_at)
  select $3::bigint + e.n, e.i, $1, e.f, e.v, e.t, e.s, to_timestamp(e.m / 1000.0), e.d, now()
  from rows from (json_to_recordset($2::json) as (i text, f text, v int, t text, s text, m float8, d jsonb))
       with ordinality as e (i, f, v, t, s, m, d, n)
  on conflict (id) do nothing`;

const valueRow = z.object({ value: z.coerce.number() });

const eventRow = z.object({
  position: z.coerce.number(),
  id: z.string(),
  gateway: z.string(),
  function: z.string(),
  version: z.int(),
  type: z.string(),
  subject: z.string(),
  time: z.date(),
  data: z.unknown(),
});

/** Every event that gateways sent, once each, in the order in which they were committed. */
export class EventLog {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Stores all batches in one transaction. Answers how many rows of each batch are new; the others were there already. */
  async append(batches: readonly EventRows[]): Promise<number[]> {
    const rows = batches.reduce((sum, batch) => sum + batch.count, 0);
    return this.#store.transaction(async (tx) => {
      let position = (await add(tx, "position", rows)) - rows;
      const stored: number[] = [];
      for (const { gateway, json, count } of batches) {
        stored.push(await tx.execute(INSERT, [gateway, json, position]));
        position += count;
      }
      await add(
        tx,
        "events",
        stored.reduce((sum, count) => sum + count, 0),
      );
      return stored;
    });
  }

  async count(): Promise<number> {
    const [row] = await this.#store.query(valueRow, "select value from counters where name = 'events'");
    return row?.value ?? 0;
  }

  async page(query: EventsQuery): Promise<EventsPage> {
    const { after, limit, order } = query;
    const params: unknown[] = [];
    const where: string[] = [];
    const only = (condition: string, value: unknown): void => {
      if (value !== undefined) where.push(`${condition} $${params.push(value)}`);
    };
    only(order === "asc" ? "position >" : "position <", after);
    only("function =", query.function);
    only("gateway =", query.gateway);
    only("type =", query.type);
    const rows = await this.#store.query(
      eventRow,
      `select position, id, gateway, function, version, type, subject, time, data from events
       ${where.length === 0 ? "" : `where ${where.join(" and ")}`} order by position ${order} limit ${limit + 1}`,
      params,
    );
    const events = rows.slice(0, limit).map(cloudEvent);
    return { events, next: rows.length > limit ? (events.at(-1)?.position ?? null) : null };
  }
}

async function add(tx: Queryable, name: string, amount: number): Promise<number> {
  const [row] = await tx.query(valueRow, "update counters set value = value + $2::int where name = $1 returning value", [name, amount]);
  return row?.value ?? 0;
}

function cloudEvent(row: z.infer<typeof eventRow>): CloudEvent {
  return {
    specversion: "1.0",
    id: row.id,
    source: `/gateways/${row.gateway}/functions/${row.function}`,
    type: row.type,
    subject: row.subject,
    time: row.time.toISOString(),
    datacontenttype: "application/json",
    data: row.data,
    gateway: row.gateway,
    function: row.function,
    functionversion: row.version,
    position: row.position,
  };
}
