import type { EventsPage } from "../core/control-api.ts";
import { type CloudEvent, eventId, type OutboxEvent } from "../core/event.ts";
import { z } from "zod";
import { CopyRows } from "./copy-rows.ts";
import { Sources } from "./sources.ts";
import { isDuplicate, type Queryable, type Store } from "./store.ts";

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

/** An event as the store keeps it. Its id is `GATEWAY:SEQ:FUNCTION:INDEX`. */
export interface EventRow {
  readonly seq: number;
  readonly index: number;
  readonly event: Omit<OutboxEvent, "id">;
}

/** The rows of one batch. */
export interface EventRows {
  readonly gateway: string;
  readonly rows: readonly EventRow[];
}

/** Rows with the numbers of their sources. */
interface Known {
  readonly rows: readonly EventRow[];
  readonly source: (row: EventRow) => number;
}

const COLUMNS = [
  "position",
  "source",
  "seq",
  "index",
  "version",
  "type",
  "subject",
  "time",
  "received_at",
  "data",
  "traceparent",
  "tracestate",
];
const COPY = `copy events (${COLUMNS.join(", ")}) from stdin with (format binary)`;
/** The attributes and the frame of a row, generously; only the first guess at the size of a buffer. */
const ROW_BYTES = 256;

/** For batches of which something is there already; slower, because each row is looked for before it is written. */
const INSERT = `
  insert into events (${COLUMNS.join(", ")})
  select $1::bigint + e.n, e.source, e.seq, e.index, e.version, e.type, e.subject, to_timestamp(e.time / 1000.0), now(), e.data::jsonb,
         e.traceparent, e.tracestate
  from unnest($2::int[], $3::bigint[], $4::int[], $5::int[], $6::text[], $7::text[], $8::float8[], $9::text[], $10::text[],
              $11::text[])
       with ordinality as e (source, seq, index, version, type, subject, time, data, traceparent, tracestate, n)
  on conflict (source, seq, index) do nothing`;

const valueRow = z.object({ value: z.coerce.number() });

const eventRow = z.object({
  position: z.coerce.number(),
  seq: z.coerce.number(),
  index: z.int(),
  gateway: z.string(),
  function: z.string(),
  version: z.int(),
  type: z.string(),
  subject: z.string(),
  time: z.date(),
  data: z.unknown(),
  traceparent: z.string().nullable(),
  tracestate: z.string().nullable(),
});

/**
 * Every event that gateways sent, once each, in the order in which they were committed. The positions are counted in the transaction and not
 * drawn from a sequence: the lock on the counter makes the order of positions the order of commits, so a reader that pages by `after` never
 * skips an event that was still on its way. It also costs less.
 */
export class EventLog {
  readonly #store: Store;
  readonly #sources: Sources;

  constructor(store: Store) {
    this.#store = store;
    this.#sources = new Sources(store);
  }

  /** Stores all batches in one transaction. Answers how many rows of each batch are new; the others were there already. */
  async append(batches: readonly EventRows[]): Promise<number[]> {
    const known = await Promise.all(batches.map((batch) => this.#withSources(batch)));
    try {
      return await this.#copy(known);
    } catch (error) {
      // An event comes twice only after the link broke, so the fast way is tried first; the store says when it was wrong.
      if (!isDuplicate(error)) throw error;
      return this.#insert(known);
    }
  }

  async #withSources({ gateway, rows }: EventRows): Promise<Known> {
    const sources = new Map<string, number>();
    for (const name of new Set(rows.map(({ event }) => event.function))) sources.set(name, await this.#sources.idOf(gateway, name));
    return { rows, source: ({ event }) => sources.get(event.function) ?? 0 };
  }

  async #copy(batches: readonly Known[]): Promise<number[]> {
    const count = batches.reduce((sum, { rows }) => sum + rows.length, 0);
    const now = Date.now();
    return this.#counted(count, async (tx, before) => {
      let position = before;
      const copy = new CopyRows(count * ROW_BYTES);
      for (const { rows, source } of batches) {
        for (const row of rows) {
          const { version, type, subject, time, data, traceparent, tracestate } = row.event;
          copy.row(COLUMNS.length);
          copy.int8(++position).int4(source(row)).int8(row.seq).int4(row.index).int4(version);
          copy.text(type).text(subject).time(time).time(now).jsonb(data);
          copy.textOrNull(traceparent).textOrNull(tracestate);
        }
      }
      await tx.copy(COPY, copy.end());
      return batches.map(({ rows }) => rows.length);
    });
  }

  async #insert(batches: readonly Known[]): Promise<number[]> {
    const count = batches.reduce((sum, { rows }) => sum + rows.length, 0);
    return this.#counted(count, async (tx, before) => {
      let position = before;
      const stored: number[] = [];
      for (const { rows, source } of batches) {
        const column = <T>(of: (row: EventRow) => T): T[] => rows.map(of);
        stored.push(
          await tx.execute(INSERT, [
            position,
            column(source),
            column(({ seq }) => seq),
            column(({ index }) => index),
            column(({ event }) => event.version),
            column(({ event }) => event.type),
            column(({ event }) => event.subject),
            column(({ event }) => Math.round(event.time)),
            column(({ event }) => event.data),
            column(({ event }) => event.traceparent ?? null),
            column(({ event }) => event.tracestate ?? null),
          ]),
        );
        position += rows.length;
      }
      return stored;
    });
  }

  /** One transaction in which `rows` positions are taken and what `work` says that it stored is counted. */
  #counted(rows: number, work: (tx: Queryable, before: number) => Promise<number[]>): Promise<number[]> {
    return this.#store.transaction(async (tx) => {
      const stored = await work(tx, (await add(tx, "position", rows)) - rows);
      const sum = stored.reduce((total, count) => total + count, 0);
      await add(tx, "events", sum);
      return stored;
    });
  }

  async count(): Promise<number> {
    const [row] = await this.#store.query(valueRow, "select value from counters where name = 'events'");
    return row?.value ?? 0;
  }

  async page(query: EventsQuery): Promise<EventsPage> {
    const { after, limit, order, function: functionName, gateway } = query;
    const params: unknown[] = [];
    const where: string[] = [];
    const only = (condition: string, value: unknown): void => {
      if (value !== undefined) where.push(`${condition} $${params.push(value)}`);
    };
    only(order === "asc" ? "position >" : "position <", after);
    only("type =", query.type);
    const ordered = `order by position ${order} limit ${limit + 1}`;
    let from = `(select * from events ${where.length === 0 ? "" : `where ${where.join(" and ")}`} ${ordered})`;
    if (functionName !== undefined || gateway !== undefined) {
      // One stretch of the index for each source: what others sent in between is never looked at.
      const chosen = params.push(await this.#sources.matching(gateway, functionName));
      const ofSource = ["events.source = chosen.id", ...where].join(" and ");
      from = `(select own.* from unnest($${chosen}::int[]) as chosen (id)
               cross join lateral (select * from events where ${ofSource} ${ordered}) own)`;
    }
    const rows = await this.#store.query(
      eventRow,
      `select position, seq, index, gateway, function, version, type, subject, time, data, traceparent, tracestate
       from ${from} e join sources on sources.id = e.source ${ordered}`,
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
    id: eventId(row.gateway, row.seq, row.function, row.index),
    source: `/gateways/${row.gateway}/functions/${row.function}`,
    type: row.type,
    subject: row.subject,
    time: row.time.toISOString(),
    datacontenttype: "application/json",
    data: row.data,
    gateway: row.gateway,
    function: row.function,
    functionversion: row.version,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    ...(row.tracestate === null ? {} : { tracestate: row.tracestate }),
    position: row.position,
  };
}
