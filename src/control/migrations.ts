import { z } from "zod";
import type { Store } from "./store.ts";

/** Applied once each, in order, and never changed after a release: what is new goes to the end. */
const MIGRATIONS: readonly string[] = [
  `create table counters (name text primary key, value bigint not null);
   -- The revision starts at the time, not at 0, so that a gateway does not take the first state of a new store for an old one.
   insert into counters values ('revision', (extract(epoch from now()) * 1000)::bigint), ('position', 0), ('events', 0);

   create table functions (name text primary key, latest int);

   create table versions (
     function text not null references functions (name),
     number int not null,
     digest text not null,
     bundle bytea not null,
     manifest jsonb not null,
     created_at timestamptz not null default now(),
     primary key (function, number),
     unique (function, digest)
   );
   -- A bundle is read piece by piece; stored plain, a piece does not cost unpacking the whole.
   alter table versions alter column bundle set storage external;
   create index versions_digest on versions (digest);

   create table gateways (
     id text primary key,
     reported jsonb not null,
     connected_at timestamptz not null,
     last_seen timestamptz not null
   );

   -- Who sends events: one function on one gateway. Its number stands in the events instead of two texts.
   create table sources (
     id int primary key,
     gateway text not null,
     function text not null,
     unique (function, gateway)
   );

   -- An event's id is GATEWAY:SEQ:FUNCTION:INDEX. It is kept as the three numbers that it consists of: the index that finds an event that was
   -- sent twice is then small, and the events of one source come in its order.
   create table events (
     position bigint primary key,
     source int not null,
     seq bigint not null,
     index int not null,
     version int not null,
     type text not null,
     subject text not null,
     time timestamptz not null,
     received_at timestamptz not null,
     data jsonb not null
   );
   create unique index events_id on events (source, seq, index);
   create index events_source on events (source, position);`,
  // The trace that an event belongs to, as CloudEvents has it; most have none, which takes no room.
  `alter table events add column traceparent text, add column tracestate text;`,
];

/** Brings the store to the newest shape; each migration is committed together with the note that it was applied. */
export async function migrate(store: Store): Promise<void> {
  await store.script("create table if not exists migrations (version int primary key, applied_at timestamptz not null default now())");
  const [row] = await store.query(z.object({ version: z.int() }), "select coalesce(max(version), 0) as version from migrations");
  const done = row?.version ?? 0;
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < done) continue;
    await store.transaction(async (tx) => {
      await tx.script(sql);
      await tx.execute("insert into migrations (version) values ($1)", [index + 1]);
    });
  }
}
