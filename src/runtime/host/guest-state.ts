import type { GuestHost } from "./guest-types.ts";
import { markVersion, versionOf } from "./guest-state-version.ts";
import { ownerText, VERSION_NAME } from "./guest-state-names.ts";
import { expiresAt } from "./guest-stored.ts";
import { jsonOf, LimitError } from "./guest-values.ts";

interface KeyState {
  /** As they are stored; what has expired is among them until the key is loaded again. */
  readonly values: Map<string, string>;
  bytes: number;
  /** No value expires before; Infinity when none does. */
  expiresFrom: number;
  /** How many there were when the key was loaded. */
  readonly loaded: number;
  /** Until when there may be what newer code has written, which this one does not understand; 0 when there is none. */
  readonly newerUntil: number;
}

/** What messages have written under a key. */
interface Written {
  readonly key: string;
  readonly writes: Map<string, string | undefined>;
  /** The time of the last of them. */
  readonly now: number;
}

interface Owner {
  readonly name: string;
  readonly key: string;
  /** The time of the message. */
  readonly now: number;
}

const STATE_KEYS_MAX = 10_000;
/** Of what is remembered from one batch to the next. */
const STATE_BYTES_MAX = 4 * 1024 * 1024;
const STATE_KEY_BYTES_MAX = 1024 * 1024;
/** A key that has got so many more values than it was loaded with may have lost as many on disk, if some expire. */
const GROWN = 64;

/** State as the isolate knows it: whole keys, loaded once, written through with the message that changes them. */
export class StateCache {
  readonly #host: GuestHost;
  /** Of what is stored, see `state.version` of the manifest. */
  readonly #version: number;
  readonly #keys = new Map<string, KeyState>();
  readonly #loading = new Map<number, { keys: string[]; resolve: () => void }>();
  readonly #asked = new Map<string, Promise<void>>();
  #request = 0;
  #bytes = 0;
  /** Set by the first use; from then on the keys of a batch are asked for at its start, in one go. */
  used = false;
  /** The same for what belongs to the function. */
  usedShared = false;

  constructor(host: GuestHost, version: number) {
    this.#version = version;
    this.#host = host;
  }

  get(key: string): KeyState | undefined {
    return this.#keys.get(key);
  }

  /** Undefined when everything is here already. */
  load(keys: readonly string[]): Promise<void> | undefined {
    const missing = [...new Set(keys)].filter((key) => !this.#keys.has(key));
    if (missing.length === 0) return undefined;
    // A key is asked for once: a second answer would put back what was stored before the messages handled since the first.
    const unasked = missing.filter((key) => !this.#asked.has(key));
    if (unasked.length === 0) return this.#answers(missing);
    const request = ++this.#request;
    const answered = new Promise<void>((resolve) => this.#loading.set(request, { keys: unasked, resolve }));
    for (const key of unasked) this.#asked.set(key, answered);
    this.#host.loadState(request, jsonOf(unasked));
    return unasked.length === missing.length ? answered : this.#answers(missing);
  }

  async #answers(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#asked.get(key);
  }

  loaded(request: number, text: string): void {
    const waiting = this.#loading.get(request);
    if (waiting === undefined) return;
    this.#loading.delete(request);
    const answer = JSON.parse(text) as Record<string, readonly (readonly [string, string])[] | null>;
    for (const key of waiting.keys) {
      this.#asked.delete(key);
      const entries = Object.hasOwn(answer, key) ? answer[key] : [];
      // Too much for one answer: it is asked for when it is needed.
      if (entries === null || entries === undefined) continue;
      const bytes = entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
      const expiresFrom = entries.reduce((first, [, value]) => Math.min(first, expiresAt(value)), Infinity);
      const values = new Map(entries);
      const mark = values.get(VERSION_NAME);
      const newerUntil = mark !== undefined && versionOf(values) > this.#version ? expiresAt(mark) : 0;
      this.#keys.set(key, { values, bytes, expiresFrom, loaded: entries.length, newerUntil });
      this.#bytes += bytes;
    }
    waiting.resolve();
  }

  /** @throws LimitError when newer code has written what is stored under the key */
  refuseNewer({ name, key, now }: Owner): void {
    const state = this.#keys.get(key);
    if (state === undefined || state.newerUntil <= now) return;
    throw new LimitError(
      "STATE_NEWER",
      `${ownerText(name, key)}: version ${versionOf(state.values)} of it is stored, and the code knows none above ${this.#version}; ` +
        "publish a version whose state.version is not lower",
    );
  }

  /**
   * Takes over what messages have written, so that the next ones see it; a key that was written without being read is loaded before.
   * @throws LimitError when it is too much, or newer code has written the rest; then nothing of it is taken
   */
  async store(name: string, written: readonly Written[]): Promise<void> {
    if (written.length === 0) return;
    await this.load(written.map(({ key }) => key));
    for (const { key, writes, now } of written) {
      this.refuseNewer({ name, key, now });
      if (this.#version > 1) markVersion(this.#keys.get(key)?.values ?? new Map<string, string>(), writes, { version: this.#version, now });
      this.#check({ name, key, now }, writes);
    }
    for (const { key, writes } of written) this.#apply(key, writes);
  }

  #apply(key: string, writes: ReadonlyMap<string, string | undefined>): void {
    const state = this.#keys.get(key);
    if (state === undefined) return;
    for (const [name, value] of writes) {
      const grown = (value === undefined ? 0 : name.length + value.length) - StateCache.#sizeOf(state, name);
      state.bytes += grown;
      this.#bytes += grown;
      if (value === undefined) state.values.delete(name);
      else {
        state.values.set(name, value);
        state.expiresFrom = Math.min(state.expiresFrom, expiresAt(value));
      }
    }
  }

  /** Throws when `writes` would make the key too large. What has expired does not count. */
  #check({ name: functionName, key, now }: Owner, writes: ReadonlyMap<string, string | undefined>): void {
    const state = this.#keys.get(key);
    let bytes = state?.bytes ?? 0;
    for (const [name, value] of writes) {
      bytes += (value === undefined ? 0 : name.length + value.length) - (state === undefined ? 0 : StateCache.#sizeOf(state, name));
    }
    if (bytes <= STATE_KEY_BYTES_MAX) return;
    for (const [name, value] of (state?.expiresFrom ?? Infinity) <= now ? (state?.values ?? []) : []) {
      if (!writes.has(name) && expiresAt(value) <= now) bytes -= name.length + value.length;
    }
    if (bytes <= STATE_KEY_BYTES_MAX) return;
    throw new LimitError(
      "LIMIT_STATE",
      `${ownerText(functionName, key)}: it would be ${bytes} bytes, at most ${STATE_KEY_BYTES_MAX} are kept in one place; ` +
        "delete what is not needed, give values a ttl, or choose a key that spreads them",
    );
  }

  /** Forgets a key that may hold much that has expired and is not stored any more. To be called between batches. */
  refresh(key: string, now: number): void {
    const state = this.#keys.get(key);
    if (state === undefined || state.expiresFrom > now || state.values.size < 2 * state.loaded + GROWN) return;
    this.#keys.delete(key);
    this.#bytes -= state.bytes;
  }

  /** Forgets every key; what is asked for still is of no use when it comes. To be called between batches. */
  forget(): void {
    this.#keys.clear();
    this.#asked.clear();
    this.#bytes = 0;
    for (const waiting of this.#loading.values()) waiting.keys.length = 0;
  }

  /** Forgets the keys that were loaded first; they are in the database. */
  shrink(): void {
    for (const [key, { bytes }] of this.#keys) {
      if (this.#keys.size <= STATE_KEYS_MAX && this.#bytes <= STATE_BYTES_MAX) return;
      this.#keys.delete(key);
      this.#bytes -= bytes;
    }
  }

  static #sizeOf(state: KeyState, name: string): number {
    const value = state.values.get(name);
    return value === undefined ? 0 : name.length + value.length;
  }
}
