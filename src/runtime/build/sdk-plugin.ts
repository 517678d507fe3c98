import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "rolldown";
import { GLOBALS_FOLDER } from "./globals.ts";

/** What functions import → the file in the folder of the SDK, without its type. */
const MODULES: ReadonlyMap<string, string> = new Map([
  ["millrace", "index"],
  ["millrace/std", "std"],
]);
/** Beside this file in the sources as `.ts`, in an installed package as `.js`. */
const SDK_TYPE = import.meta.url.endsWith(".ts") ? "ts" : "js";
const SDK_FOLDER = new URL("../../sdk/", import.meta.url);
/** Of the files that the modules above import from one another, and of those with globals. */
export const PART = "millrace:";

/**
 * Gives functions their `millrace` imports, under those names only: where this copy of Millrace is installed must not show in the bundle.
 * Their positions stay out of the source map, because the sources and an installed package differ in them.
 */
export function sdkPlugin(): Plugin {
  return {
    name: "millrace-sdk",
    resolveId: (source, importer) => {
      const id = MODULES.has(source) || source.startsWith(PART + GLOBALS_FOLDER) ? source : partOf(source, importer);
      return id === undefined ? undefined : { id, moduleSideEffects: false };
    },
    load: async (id) => {
      const file = id.startsWith(PART) ? id.slice(PART.length) : MODULES.get(id);
      if (file === undefined) return undefined;
      const code = await readFile(fileURLToPath(new URL(`${file}.${SDK_TYPE}`, SDK_FOLDER)), "utf8");
      return { code, moduleType: SDK_TYPE, map: { mappings: "" } };
    },
  };
}

function partOf(source: string, importer: string | undefined): string | undefined {
  if (importer === undefined) return undefined;
  const from = importer.startsWith(PART) ? importer.slice(PART.length) : MODULES.get(importer);
  return from === undefined ? undefined : `${PART}${posix.join(posix.dirname(from), source).replace(/\.[jt]s$/, "")}`;
}
