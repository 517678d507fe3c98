import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";

/** A file may be written in several steps. */
const SETTLE_MS = 100;

/** Tells of changes of files, also of those that are replaced or not there yet. Where a folder cannot be watched it does not. */
export class FolderWatch implements Disposable {
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(files: readonly string[], changed: () => void, logger: Logger) {
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      const names = new Set(files.filter((file) => dirname(file) === folder).map((file) => basename(file)));
      const failed = (error: unknown): void =>
        logger.debug({ folder, error: messageOf(error) }, "a folder cannot be watched; its files are looked at when a client comes");
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          if (name !== null && !names.has(name)) return;
          clearTimeout(this.#timer);
          this.#timer = setTimeout(changed, SETTLE_MS).unref();
        });
        watcher.on("error", failed);
        this.#watchers.push(watcher);
      } catch (error) {
        failed(error);
      }
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
  }
}
