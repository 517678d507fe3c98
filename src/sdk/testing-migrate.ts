import { MillraceError } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { SHARED_KEY, VERSION_NAME } from "../core/state-value.ts";
import { isOutdated, migrated } from "../runtime/host/guest-migrate.ts";
import { ownerText } from "../runtime/host/guest-state-names.ts";
import { versionOf } from "../runtime/host/guest-state-version.ts";
import { storedUntil } from "../runtime/host/guest-stored.ts";
import type { FunctionSetup } from "./index.ts";
import type { Arrival } from "./testing-batch.ts";
import { createBareContext } from "./testing-context.ts";
import { fitting, type StateChange, type TestStore } from "./testing-state.ts";

interface MigrationParts {
  readonly definition: Pick<FunctionSetup, "migrate">;
  readonly manifest: Manifest;
  readonly stored: TestStore;
}

/**
 * Brings the state that a message finds to the version of the manifest, among the other changes of the message.
 * @throws what `migrate` throws; MillraceError STATE_NEWER
 */
export async function migrateFor({ key, event, effects }: Arrival<unknown>, parts: MigrationParts): Promise<void> {
  const { manifest, stored } = parts;
  for (const place of manifest.concurrency === 1 ? [key, SHARED_KEY] : [key]) {
    const isDone = effects.state.some((change) => change.key === place && change.name === VERSION_NAME);
    const values = stored.get(place);
    if (isDone || values === undefined) continue;
    refuseNewer(place, versionOf(values), manifest);
    if (!isOutdated(values, { version: versionIn(manifest), now: event.time })) continue;
    effects.state.push(...(await changesOf({ key: place, values, now: event.time }, { ...parts, logs: effects.logs })));
  }
}

interface Place {
  readonly key: string;
  readonly values: ReadonlyMap<string, string>;
  readonly now: number;
}

async function changesOf(
  { key, values, now }: Place,
  parts: MigrationParts & Pick<Arrival<unknown>["effects"], "logs">,
): Promise<StateChange[]> {
  const { definition, manifest, logs } = parts;
  const version = versionIn(manifest);
  if (definition.migrate === undefined)
    throw new TypeError(`state.version is ${version}, and the definition has no migrate(entries, from, ctx)`);
  const migrate = definition.migrate.bind(definition);
  const ctx = { ...createBareContext(manifest, { logs }), key: key === SHARED_KEY ? undefined : key, to: version };
  const limits = { functionName: manifest.name, key, valueBytesMax: manifest.limits.stateValueBytes };
  const check = (name: string, stored: string): void => void fitting(name, stored, limits);
  const writes = await migrated(values, { migrate: (entries, from) => migrate(entries, from, ctx), version, now, ctx, check });
  return [...writes].map(([name, stored]) => ({ key, name, stored }));
}

function refuseNewer(key: string, version: number, manifest: Manifest): void {
  if (version <= versionIn(manifest)) return;
  throw new MillraceError(
    "STATE_NEWER",
    `${ownerText(manifest.name, key)}: version ${version} of it is stored, and the code knows none above ${versionIn(manifest)}`,
  );
}

/** Marks the values of a key with the version of the code that has stored them; an empty key has no mark. */
export function markStored(values: Map<string, string>, version: number): void {
  values.delete(VERSION_NAME);
  if (version > 1 && values.size > 0) values.set(VERSION_NAME, storedUntil(version, Infinity));
}

/** Of the state. */
export function versionIn({ state }: Manifest): number {
  return state?.version ?? 1;
}
