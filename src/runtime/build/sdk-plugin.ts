import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Plugin } from "rolldown";

const SDK = "millrace";
/** Beside this file in the sources as `.ts`, in an installed package as `.js`. */
const SDK_TYPE = import.meta.url.endsWith(".ts") ? "ts" : "js";
const SDK_FILE = fileURLToPath(new URL(`../../sdk/index.${SDK_TYPE}`, import.meta.url));

/**
 * Gives functions their `millrace` import, under that name only: where this copy of Millrace is installed must not show in the bundle.
 * Its positions stay out of the source map, because the sources and an installed package differ in them.
 */
export function sdkPlugin(): Plugin {
  return {
    name: "millrace-sdk",
    resolveId: (source) => (source === SDK ? { id: SDK, moduleSideEffects: false } : undefined),
    load: async (id) => (id === SDK ? { code: await readFile(SDK_FILE, "utf8"), moduleType: SDK_TYPE, map: { mappings: "" } } : undefined),
  };
}
