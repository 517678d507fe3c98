import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** In the order in which they need one another. */
const MODULES = ["guest-codec", "guest-values", "guest-effects", "guest-event", "guest-state", "guest-context", "guest", "guest-warm-up"];

/** The guest modules as one classic script body that declares `createGuest`. */
export function guestScript(): string {
  const extension = extname(fileURLToPath(import.meta.url));
  const texts = MODULES.map((name) => {
    const text = readFileSync(new URL(`./${name}${extension}`, import.meta.url), "utf8");
    const script = extension === ".ts" ? stripTypeScriptTypes(text) : text;
    return script.replace(/^import [^;]*;$/gm, "").replace(/^export /gm, "");
  });
  return `"use strict";\n${texts.join("\n")}`;
}
