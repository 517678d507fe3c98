import { readFileSync } from "node:fs";
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import type { Clock } from "../../core/clock.ts";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { replaceFile } from "../../core/replace-file.ts";
import { WatchedFile } from "./watched-file.ts";

const BYTES_MAX = 256 * 1024;
const KEYS_MAX = 100;
const FETCH_MS_MAX = 5_000;
/** A token with a key that is not known makes it ask again, not more often than that. */
const ASK_MS_MIN = 30_000;

const setSchema = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(KEYS_MAX) });

/** Finds the key that a token says it is signed with. */
export interface KeySet extends Disposable {
  readonly find: JWTVerifyGetKey;
}

/** @throws MillraceError ACCESS_INVALID when it is none */
function keysOf(text: string, from: string): JWTVerifyGetKey {
  try {
    return createLocalJWKSet(setSchema.parse(JSON.parse(text)));
  } catch (cause) {
    throw new MillraceError("ACCESS_INVALID", `${from} holds no set of keys (JWKS)`, { cause });
  }
}

/** Keys from a file, which is read again when it has changed. @throws MillraceError ACCESS_INVALID, FILE_UNREADABLE */
export function keysFromFile(path: string, logger: Logger): KeySet {
  const file = new WatchedFile(path, (name) => keysOf(readText(name), name));
  return {
    find: (...args) => {
      try {
        file.look();
      } catch (error) {
        logger.error({ error: messageOf(error) }, "the keys of tokens could not be read again; those before go on to count");
      }
      if (file.value === undefined) throw new errors.JWKSNoMatchingKey();
      return file.value(...args);
    },
    [Symbol.dispose]: () => undefined,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `cannot read the keys of tokens in ${path}: ${messageOf(cause)}`, { cause });
  }
}

interface RemoteOptions {
  readonly url: string;
  /** Where the last set is kept, for a start without a network. */
  readonly kept: string;
  readonly refreshMs: number;
}

/** Keys from an address. The last set that could be fetched goes on to count, also over a restart, for as long as the address does not answer. */
export class RemoteKeys implements KeySet {
  readonly #options: RemoteOptions;
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #end = new AbortController();
  #keys: JWTVerifyGetKey | undefined;
  #text: string | undefined;
  #fetchedAt = -Infinity;
  #askedAt = -Infinity;
  #asking: Promise<void> | undefined;
  #failed = false;

  constructor(options: RemoteOptions, logger: Logger, clock: Pick<Clock, "elapsed">) {
    this.#options = options;
    this.#logger = logger;
    this.#clock = clock;
    try {
      this.#text = readFileSync(options.kept, "utf8");
      this.#keys = keysOf(this.#text, options.kept);
    } catch (error) {
      logger.debug({ error: messageOf(error) }, "no keys of tokens are kept from before");
    }
    void this.#ask();
  }

  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (this.#keys === undefined) await this.#ask();
    else if (this.#clock.elapsed() - this.#fetchedAt > this.#options.refreshMs) void this.#ask();
    try {
      return await this.#get(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#ask();
      return this.#get(header, token);
    }
  };

  [Symbol.dispose](): void {
    this.#end.abort();
  }

  #get(...args: Parameters<JWTVerifyGetKey>): ReturnType<JWTVerifyGetKey> {
    if (this.#keys === undefined) throw new errors.JWKSNoMatchingKey("no keys of tokens could be fetched yet");
    return this.#keys(...args);
  }

  #ask(): Promise<void> {
    if (this.#asking !== undefined) return this.#asking;
    if (this.#clock.elapsed() - this.#askedAt < ASK_MS_MIN) return Promise.resolve();
    this.#askedAt = this.#clock.elapsed();
    this.#asking = this.#fetch().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #fetch(): Promise<void> {
    const { url, kept } = this.#options;
    try {
      const signal = AbortSignal.any([this.#end.signal, AbortSignal.timeout(FETCH_MS_MAX)]);
      const text = await fetchText(url, signal);
      this.#keys = keysOf(text, url);
      this.#fetchedAt = this.#clock.elapsed();
      if (this.#failed) this.#logger.info({ url }, "the keys of tokens can be fetched again");
      this.#failed = false;
      if (text !== this.#text) await replaceFile(kept, Buffer.from(text));
      this.#text = text;
    } catch (error) {
      if (this.#end.signal.aborted) return;
      if (!this.#failed)
        this.#logger.warn({ url, error: messageOf(error) }, "the keys of tokens could not be fetched; those before go on to count");
      this.#failed = true;
    }
  }
}

async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: "error", headers: { accept: "application/json" } });
  if (!response.ok || response.body === null) throw new Error(`it answers with status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`it answers with more than ${BYTES_MAX / 1024} KB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
