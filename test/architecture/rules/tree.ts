import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Path relative to the root of the checkout, with `/` → text. What every rule of this folder judges. */
export type Files = ReadonlyMap<string, string>;

export const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

const SKIPPED = new Set(["node_modules", "dist", "coverage", ".millrace", ".git"]);

/** The text files below `tops` (files or folders of the checkout) whose names end in one of `endings`; `""` takes all. */
export function readFiles(tops: readonly string[], endings: readonly string[]): Files {
  const files = new Map<string, string>();
  for (const top of tops) collect(top, endings, files);
  return files;
}

/** Files from literals, for planted violations. */
export function plant(files: Readonly<Record<string, string>>): Files {
  return new Map(Object.entries(files));
}

function collect(path: string, endings: readonly string[], files: Map<string, string>): void {
  const absolute = join(ROOT, path);
  if (!existsSync(absolute)) return;
  if (statSync(absolute).isDirectory()) {
    for (const name of readdirSync(absolute).toSorted()) {
      if (!SKIPPED.has(name)) collect(path === "." ? name : `${path}/${name}`, endings, files);
    }
  } else if (endings.some((ending) => path.endsWith(ending))) {
    files.set(path, readFileSync(absolute, "utf8"));
  }
}
