import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { ERRORS, MillraceError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Command, CommandIo } from "./command.ts";
import { COMMANDS, PLANNED } from "./commands.ts";
import { parseArguments } from "./flags.ts";
import { commandHelp, overview } from "./help.ts";

export const EXIT = { ok: 0, failed: 1, usage: 2, bug: 70, interrupted: 130 } as const;

/** The whole program but for the process it runs in. Resolves to the exit code; errors have been printed by then. */
export async function runProgram(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    if (io.signal.aborted && isAbort(error, io.signal)) return EXIT.interrupted;
    io.stderr(describe(error, wantsJson(args)));
    if (!(error instanceof MillraceError)) return EXIT.bug;
    return error.code === "USAGE" ? EXIT.usage : EXIT.failed;
  }
}

async function dispatch(args: readonly string[], io: CommandIo): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined || first === "--help" || first === "-h") return showHelp([], io);
  if (first === "help") return showHelp(rest, io);
  if (first === "--version" || first === "version") {
    io.stdout(`millrace ${programVersion()}\n`);
    return EXIT.ok;
  }
  const command = await load(first);
  const { flags, positionals, json, help } = parseArguments(command, rest);
  if (help) {
    io.stdout(commandHelp(command));
    return EXIT.ok;
  }
  return await command.run({ ...io, flags, positionals, json });
}

async function showHelp(names: readonly string[], io: CommandIo): Promise<number> {
  const [name] = names.filter((word) => !word.startsWith("-"));
  io.stdout(name === undefined ? overview(await loadAll()) : commandHelp(await load(name)));
  return EXIT.ok;
}

export async function loadAll(): Promise<Command[]> {
  return Promise.all(COMMANDS.map(async (entry) => (await entry.load()).command));
}

async function load(name: string): Promise<Command> {
  const entry = COMMANDS.find((candidate) => candidate.name === name);
  if (entry !== undefined) return (await entry.load()).command;
  const names = COMMANDS.map((candidate) => candidate.name);
  if (PLANNED.includes(name)) {
    throw new MillraceError("USAGE", `"${name}" is planned, but not in this version; what there is: ${names.join(", ")}`);
  }
  if (name.startsWith("-")) throw new MillraceError("USAGE", `a command has to come before ${name}; there are: ${names.join(", ")}`);
  const near = nearest(name, names);
  const remedy = near === undefined ? `there are: ${names.join(", ")}` : `did you mean "${near}"?`;
  throw new MillraceError("USAGE", `unknown command "${name}"; ${remedy}`);
}

/** How an error looks to a person, or with `json` to a program: one object on one line. */
export function describe(error: unknown, json: boolean): string {
  if (error instanceof MillraceError) {
    const { code, message, hint } = error;
    return json ? `${JSON.stringify({ error: { code, message, hint } })}\n` : `error ${code}: ${message}\n  hint: ${hint}\n`;
  }
  // The inspector prints the stack together with the causes behind it.
  const stack = inspect(error);
  if (json) return `${JSON.stringify({ error: { code: "INTERNAL", message: stack, hint: ERRORS.INTERNAL } })}\n`;
  return `This is a bug in Millrace, please report it with the lines below.\n${stack}\n`;
}

function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end === -1 ? args : args.slice(0, end)).includes("--json");
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

/** The version of the package that this file belongs to, which lies two folders up in src/ and in dist/ alike. */
function programVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
