import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { MillraceError } from "../../core/errors.ts";

/**
 * Something secret from standard input, without a line break at its end; a person at a terminal is asked for it, and does not see it. Never an argument: those
 * are in the list of processes and in the history of the shell.
 * @throws MillraceError USAGE when there is nothing
 */
export async function readHidden(command: string, what: string, signal: AbortSignal): Promise<string> {
  const value = process.stdin.isTTY ? await prompt(what, signal) : await text(process.stdin);
  const bare = value.replace(/\r?\n$/, "");
  if (bare === "") throw new MillraceError("USAGE", `${command}: the ${what} is to come on standard input`);
  return bare;
}

async function prompt(what: string, signal: AbortSignal): Promise<string> {
  process.stderr.write(`${what} (not shown): `);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await lines.question("", { signal });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
