import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** In the order in which they need one another. */
export const GUEST_MODULES: readonly string[] = [
  "guest-realm",
  "guest-codec",
  "guest-values",
  "guest-cbor",
  "guest-state-names",
  "guest-stored",
  "guest-timers",
  "guest-random",
  "guest-answer",
  "guest-effect-limit",
  "guest-effects",
  "guest-event",
  "guest-headers",
  "guest-response",
  "guest-call-kinds",
  "guest-calls",
  "guest-fetch",
  "guest-state-version",
  "guest-state",
  "guest-state-view",
  "guest-migrate",
  "guest-migrations",
  "guest-context",
  "guest-batch",
  "guest",
  "guest-port",
  "guest-warm-up",
];

/** The guest modules as one classic script body that declares `closeRealm`, `installGlobals`, `createGuest`, `hostThrough`, `gateTo` and `warmUp`. */
export function guestScript(): string {
  const scripts = GUEST_MODULES.map((name) =>
    javaScriptOf(name)
      .replace(/^import [^;]*;$/gm, "")
      .replace(/^export /gm, ""),
  );
  return bare(`"use strict";\n${scripts.join("\n")}`);
}

/**
 * Every isolate keeps the text, so it has no comments and no indentation. A character above U+00FF would make V8 keep two bytes for each of all.
 * No line of a guest module may be one of a text, as in a template literal.
 */
function bare(text: string): string {
  const script = text
    .replace(/^\s*\/\*\*[\s\S]*?\*\/\s*$/gm, "")
    .replace(/^\s*\/\/.*$/gm, "")
    .replace(/^\s+|[^\S\n]+$/gm, "");
  const wide = /.*[\u0100-\uffff].*/.exec(script);
  if (wide !== null) throw new Error(`a character above U+00FF in the guest code, to be written as an escape: ${wide[0]}`);
  return script;
}

/** The text of a module of this folder without its types; in the package it has none. */
export function javaScriptOf(name: string): string {
  const extension = extname(fileURLToPath(import.meta.url));
  const text = readFileSync(new URL(`./${name}${extension}`, import.meta.url), "utf8");
  return extension === ".ts" ? stripped(text) : text;
}

/** Node does the same to every module it loads, but tells of this function in each process that it is experimental. Nothing else warns meanwhile. */
function stripped(text: string): string {
  const emitWarning = Object.getOwnPropertyDescriptor(process, "emitWarning");
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    if (emitWarning !== undefined) Object.defineProperty(process, "emitWarning", emitWarning);
  }
}
