import { type Effects, LEVELS, logOf } from "./guest-effects.ts";
import type { GuestEvent } from "./guest-event.ts";
import { isOutdated, type Migrate, migrated } from "./guest-migrate.ts";
import type { StateCache } from "./guest-state.ts";
import { fitting } from "./guest-state-view.ts";
import { ownerText, SHARED_KEY, VERSION_NAME } from "./guest-state-names.ts";
import type { GuestOptions } from "./guest-types.ts";

interface MigrationsParts {
  readonly cache: StateCache;
  readonly options: GuestOptions;
  readonly migrate: Migrate;
}

/**
 * Brings what older code has stored to the version of this one, key by key: when a message of the key comes, as part of what that message writes. So it counts
 * once, and not at all when the message fails.
 */
export class Migrations {
  readonly #parts: MigrationsParts;
  /** Whether code of the function runs that belongs to no message. */
  running = false;

  constructor(parts: MigrationsParts) {
    this.#parts = parts;
    parts.cache.used = true;
    parts.cache.usedShared = parts.options.shared;
  }

  /** To be called before a message is handled. @throws what `migrate` throws, LimitError when newer code has written it */
  async bring(event: GuestEvent, effects: Effects): Promise<void> {
    await this.#bring({ key: event.key, writes: effects.state, now: event.time }, effects);
    if (this.#parts.options.shared) await this.#bring({ key: SHARED_KEY, writes: effects.shared, now: event.time }, effects);
  }

  async #bring({ key, writes, now }: Place, effects: Effects): Promise<void> {
    const { cache, options } = this.#parts;
    if (cache.get(key) === undefined) await cache.load([key]);
    cache.refuseNewer({ name: options.name, key, now });
    const stored = cache.get(key)?.values;
    // Others of its batch may have brought it to this version already.
    if (stored === undefined || writes.has(VERSION_NAME) || !isOutdated(stored, { version: options.stateVersion, now })) return;
    this.running = true;
    try {
      const ctx = this.#context(key, effects);
      const limits = { functionName: options.name, key, valueBytesMax: options.stateValueBytes };
      const check = (name: string, value: string): void => void fitting(name, value, limits);
      const version = options.stateVersion;
      effects.adopt(writes, await migrated(stored, { migrate: this.#parts.migrate, version, now, ctx, check }));
    } catch (error) {
      effects.log(LEVELS.indexOf("warn"), [`${ownerText(options.name, key)}: it cannot be migrated to version ${options.stateVersion}`]);
      throw error;
    } finally {
      this.running = false;
    }
  }

  #context(key: string, effects: Effects): object {
    const { env, name, version, stateVersion } = this.#parts.options;
    return { key: key === SHARED_KEY ? undefined : key, to: stateVersion, env, function: { name, version }, log: logOf(effects) };
  }
}

interface Place {
  readonly key: string;
  readonly writes: Map<string, string | undefined>;
  readonly now: number;
}
