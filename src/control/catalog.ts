import { decodeBundle, digestOf, verifyDigest } from "../core/bundle.ts";
import type { Published, VersionInfo } from "../core/control-api.ts";
import { MillraceError } from "../core/errors.ts";
import type { ArtifactChunk, Desired } from "../core/link-messages.ts";
import type { Manifest } from "../core/manifest.ts";
import { readSourceMap } from "../core/source-map.ts";
import { filterOf } from "../core/trigger-filters.ts";
import { type TriggerSummary, triggerSummarySchema } from "../core/triggers.ts";
import { z } from "zod";
import type { Queryable, Store } from "./store.ts";

const latestRow = z.object({ latest: z.int().nullable(), digest: z.string().nullable() });
const numberRow = z.object({ number: z.int() });

/** A deployed function with the manifest of its latest version. */
export interface Deployed {
  readonly name: string;
  readonly latest: number;
  readonly digest: string;
  readonly manifest: { readonly triggers: TriggerSummary[] };
  readonly createdAt: Date;
}

const deployedRow = z.object({
  name: z.string(),
  latest: z.int(),
  digest: z.string(),
  manifest: z.object({ triggers: z.array(triggerSummarySchema) }),
  createdAt: z.date(),
});

/** Functions and their immutable versions. `latest` is the only thing that moves. */
export class Catalog {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Makes `bytes` the latest version of `name`. A digest that the function had before keeps its number: publishing it again moves `latest` back.
   * @throws MillraceError BUNDLE_CORRUPT, DIGEST_MISMATCH, TOPIC_FILTER_INVALID, SOURCE_MAP_INVALID, REQUEST_INVALID, STORE_FAILED
   */
  async publish(name: string, bytes: Uint8Array, expectedDigest?: string): Promise<Published> {
    if (expectedDigest !== undefined) verifyDigest(bytes, expectedDigest);
    const { manifest, sourceMap } = decodeBundle(bytes);
    if (manifest.name !== name) {
      throw new MillraceError("REQUEST_INVALID", `the bundle holds the function "${manifest.name}", not "${name}"`);
    }
    for (const trigger of manifest.triggers) filterOf(trigger, name);
    readSourceMap(sourceMap, name);
    const digest = digestOf(bytes);
    return this.#store.transaction(async (tx) => {
      await tx.execute("insert into functions (name) values ($1) on conflict (name) do nothing", [name]);
      // The row lock makes publishers of one function wait for each other.
      const [current] = await tx.query(
        latestRow,
        `select f.latest, v.digest from functions f left join versions v on v.function = f.name and v.number = f.latest
         where f.name = $1 for update of f`,
        [name],
      );
      if (current?.latest != null && current.digest === digest) return { name, version: current.latest, digest, unchanged: true };
      const version = (await numberOf(tx, name, digest)) ?? (await insertVersion(tx, { name, digest, bytes, manifest }));
      await tx.execute("update functions set latest = $2 where name = $1", [name, version]);
      await raiseRevision(tx);
      return { name, version, digest, unchanged: false };
    });
  }

  /** Takes the function from every gateway; its versions stay, and their numbers go on if it is published again. */
  async remove(name: string): Promise<boolean> {
    return this.#store.transaction(async (tx) => {
      const removed = await tx.execute("update functions set latest = null where name = $1 and latest is not null", [name]);
      if (removed > 0) await raiseRevision(tx);
      return removed > 0;
    });
  }

  async deployed(): Promise<Deployed[]> {
    return this.#store.query(
      deployedRow,
      `select f.name, f.latest, v.digest, v.manifest, v.created_at as "createdAt"
       from functions f join versions v on v.function = f.name and v.number = f.latest order by f.name`,
    );
  }

  /** Newest first; empty when there never was such a function. */
  async versions(name: string): Promise<VersionInfo[]> {
    const row = z.object({ version: z.int(), digest: z.string(), bytes: z.int(), createdAt: z.date(), latest: z.boolean() });
    const rows = await this.#store.query(
      row,
      `select v.number as version, v.digest, octet_length(v.bundle) as bytes, v.created_at as "createdAt",
              coalesce(v.number = f.latest, false) as latest
       from versions v join functions f on f.name = v.function where f.name = $1 order by v.number desc`,
      [name],
    );
    return rows.map((version) => ({ ...version, createdAt: version.createdAt.toISOString() }));
  }

  /** The bytes of one version, as they were published. */
  async bundle(name: string, version: number): Promise<{ readonly digest: string; readonly bytes: Uint8Array } | undefined> {
    const row = z.object({ digest: z.string(), bytes: z.instanceof(Uint8Array) });
    const [found] = await this.#store.query(row, "select digest, bundle as bytes from versions where function = $1 and number = $2", [
      name,
      version,
    ]);
    return found;
  }

  /** What every gateway shall run. Read as one snapshot, so that revision and functions belong together. */
  async desired(): Promise<Desired> {
    const target = z.object({ name: z.string(), version: z.int(), digest: z.string(), bytes: z.int() });
    const row = z.object({ revision: z.coerce.number(), functions: z.array(target) });
    const [desired] = await this.#store.query(
      row,
      `select (select value from counters where name = 'revision') as revision,
              (select coalesce(jsonb_agg(jsonb_build_object('name', f.name, 'version', f.latest, 'digest', v.digest,
                                                            'bytes', octet_length(v.bundle)) order by f.name), '[]')
               from functions f join versions v on v.function = f.name and v.number = f.latest) as functions`,
    );
    if (desired === undefined) throw new MillraceError("STORE_FAILED", "the store has no revision counter");
    return desired;
  }

  /** The bytes from `offset` on, at most `maxBytes`; `total` is 0 when no version has this digest. */
  async chunk(digest: string, offset: number, maxBytes: number): Promise<ArtifactChunk> {
    const row = z.object({ total: z.int(), bytes: z.instanceof(Uint8Array) });
    const [chunk] = await this.#store.query(
      row,
      "select octet_length(bundle) as total, substring(bundle from $2::int for $3::int) as bytes from versions where digest = $1 limit 1",
      [digest, offset + 1, maxBytes],
    );
    return { digest, offset, total: chunk?.total ?? 0, bytes: chunk?.bytes ?? new Uint8Array() };
  }
}

async function numberOf(tx: Queryable, name: string, digest: string): Promise<number | undefined> {
  const [row] = await tx.query(numberRow, "select number from versions where function = $1 and digest = $2", [name, digest]);
  return row?.number;
}

async function insertVersion(
  tx: Queryable,
  { name, digest, bytes, manifest }: { name: string; digest: string; bytes: Uint8Array; manifest: Manifest },
): Promise<number> {
  const [row] = await tx.query(
    numberRow,
    `insert into versions (function, number, digest, bundle, manifest)
     select $1, coalesce(max(number), 0) + 1, $2, $3::bytea, $4::jsonb from versions where function = $1 returning number`,
    [name, digest, bytes, JSON.stringify(manifest)],
  );
  if (row === undefined) throw new MillraceError("STORE_FAILED", `the version of "${name}" was not stored`);
  return row.number;
}

async function raiseRevision(tx: Queryable): Promise<void> {
  await tx.execute("update counters set value = value + 1 where name = 'revision'");
}
