import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { TlsRules } from "./rules.ts";
import { digestOf, materialOf, readTlsFiles, type TlsMaterial } from "./tls-files.ts";

/** A file system may not tell of changes, as one of the network does not. */
const POLL_MS = 30_000;
/** Files of a pair are rarely replaced in the same moment. */
const SETTLE_MS = 200;

/**
 * Reads the files of a listener again when they change. Content that cannot be used, such as a certificate whose key has not been replaced
 * yet, changes nothing and is told once.
 */
export class TlsReload implements Disposable {
  readonly #rules: TlsRules;
  readonly #use: (material: TlsMaterial) => void;
  readonly #logger: Logger;
  readonly #watchers: FSWatcher[];
  readonly #poll: NodeJS.Timeout;
  #settling: NodeJS.Timeout | undefined;
  /** Of what is in use. */
  #digest: string;
  /** What was told of content that cannot be used. */
  #told: string | undefined;
  #looking = false;
  #again = false;
  #isDisposed = false;

  constructor(rules: TlsRules, current: TlsMaterial, to: { use: (material: TlsMaterial) => void; logger: Logger }) {
    this.#rules = rules;
    this.#digest = current.digest;
    this.#use = to.use;
    this.#logger = to.logger;
    // Files are replaced by renaming, which only their folder shows.
    const folders = new Set(Object.values(rules.files).map((path) => dirname(path)));
    this.#watchers = [...folders].flatMap((folder) => this.#watch(folder));
    this.#poll = setInterval(() => this.look(), POLL_MS).unref();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#settling);
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(folder: string): FSWatcher[] {
    const unseen = (error: unknown): void =>
      this.#logger.debug({ folder, error: messageOf(error) }, `changes of certificates are looked for every ${POLL_MS / 1_000} s only`);
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        this.#settling ??= setTimeout(() => {
          this.#settling = undefined;
          this.look();
        }, SETTLE_MS).unref();
      });
      return [watcher.on("error", unseen)];
    } catch (error) {
      unseen(error);
      return [];
    }
  }

  /** Reads the files, and uses what is new. */
  look(): void {
    this.#again = this.#looking;
    if (this.#looking || this.#isDisposed) return;
    this.#looking = true;
    void this.#read().finally(() => {
      this.#looking = false;
      if (this.#again) this.look();
    });
  }

  async #read(): Promise<void> {
    try {
      const texts = await readTlsFiles(this.#rules);
      if (this.#isDisposed || digestOf(texts) === this.#digest) return;
      const material = materialOf(this.#rules, texts);
      this.#use(material);
      this.#digest = material.digest;
      this.#told = undefined;
      this.#logger.info({ validTo: material.validTo.toISOString() }, "the certificates were replaced");
    } catch (error) {
      const problem = messageOf(error);
      if (problem === this.#told || this.#isDisposed) return;
      this.#told = problem;
      this.#logger.error({ error: problem }, "changed certificates cannot be used; those from before stay in use");
    }
  }
}
