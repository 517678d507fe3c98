import { parseArgs } from "node:util";
import { MillraceError } from "../core/errors.ts";
import { suggestion } from "../core/nearest.ts";
import { parseDuration } from "../core/units.ts";
import type { Command, FlagSpec, FlagTable, FlagValues } from "./command.ts";

/** What every command understands beside its own table. */
export const COMMON_FLAGS = {
  json: { type: "boolean", description: "Print for programs: JSON on standard output, errors as JSON on standard error" },
  help: { type: "boolean", short: "h", description: "Show this text" },
} as const satisfies FlagTable;

export interface ParsedArguments {
  readonly flags: FlagValues<FlagTable>;
  readonly positionals: readonly string[];
  readonly json: boolean;
  readonly help: boolean;
}

type Value = string | boolean | number | string[] | undefined;

/** @throws MillraceError USAGE naming the flag, what it needs and the nearest one that exists. */
export function parseArguments(command: Command, args: readonly string[]): ParsedArguments {
  const table: FlagTable = { ...command.flags, ...COMMON_FLAGS };
  const values = new Map<string, Value>();
  const positionals: string[] = [];
  for (const token of tokensOf(table, args)) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, spec, negated } = lookUp(command, table, token);
    const value = spec.type === "boolean" ? booleanOf(command, token, negated) : valueOf(command, spec, token);
    values.set(name, spec.type === "list" ? [...listOf(values.get(name)), String(value)] : value);
  }
  const help = values.get("help") === true;
  if (!help) checkPositionals(command, positionals);
  for (const [name, spec] of Object.entries(table)) if (!values.has(name)) values.set(name, initial(spec));
  return { flags: Object.fromEntries(values) as FlagValues<FlagTable>, positionals, json: values.get("json") === true, help };
}

interface OptionToken {
  readonly kind: "option";
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

type Token = OptionToken | { readonly kind: "positional"; readonly value: string } | { readonly kind: "option-terminator" };

function tokensOf(table: FlagTable, args: readonly string[]): readonly Token[] {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, spec]) => [
      name,
      {
        type: spec.type === "boolean" ? ("boolean" as const) : ("string" as const),
        multiple: true,
        ...(spec.short === undefined ? {} : { short: spec.short }),
      },
    ]),
  );
  // Not strict: the parser's own complaints know nothing of nearest names, so tokens are checked here.
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function lookUp(command: Command, table: FlagTable, token: OptionToken): { name: string; spec: FlagSpec; negated: boolean } {
  const spec = own(table, token.name);
  if (spec !== undefined) return { name: token.name, spec, negated: false };
  const positive = token.name.startsWith("no-") ? token.name.slice(3) : "";
  const negatable = own(table, positive);
  if (negatable?.type === "boolean") return { name: positive, spec: negatable, negated: true };
  // A single letter is near to every short flag, so only long names are compared.
  const names = Object.keys(table).map((name) => `--${name}`);
  throw usage(command, `unknown flag ${token.rawName}${suggestion(token.rawName, token.rawName.startsWith("--") ? names : [])}`);
}

function own(table: FlagTable, name: string): FlagSpec | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function booleanOf(command: Command, token: OptionToken, negated: boolean): boolean {
  if (token.value !== undefined) throw usage(command, `${token.rawName} takes no value, but "${token.value}" was given`);
  return !negated;
}

function valueOf(command: Command, spec: FlagSpec, token: OptionToken): string | number {
  const { value, rawName } = token;
  if (value === undefined) throw usage(command, `${rawName} needs a value`);
  // A flag begins with a letter; -1 and -1h are values.
  const looksLikeFlag = /^-[^\d.]/.test(value);
  if (looksLikeFlag && token.inlineValue !== true) {
    throw usage(command, `${rawName} needs a value, but the next word is ${value}; if that is the value, write ${rawName}=${value}`);
  }
  if (spec.type === "duration") return durationOf(command, rawName, value);
  if (spec.type === "number") return numberOf(command, spec, rawName, value);
  if (spec.choices !== undefined && !spec.choices.includes(value)) {
    throw usage(command, `${rawName} cannot be "${value}"${suggestion(value, spec.choices)}`);
  }
  return value;
}

function durationOf(command: Command, rawName: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw usage(command, `${rawName} needs a duration such as 500ms, 20s or 5m, not "${text}"`);
  return ms;
}

function numberOf(command: Command, spec: FlagSpec, rawName: string, text: string): number {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  const kind = spec.fraction === true ? "a number" : "a whole number";
  if (!Number.isFinite(number) || (spec.fraction !== true && !Number.isSafeInteger(number))) {
    throw usage(command, `${rawName} needs ${kind}, not "${text}"`);
  }
  const { min, max } = spec;
  if ((min !== undefined && number < min) || (max !== undefined && number > max)) {
    const range = max === undefined ? `at least ${min}` : min === undefined ? `at most ${max}` : `between ${min} and ${max}`;
    throw usage(command, `${rawName} must be ${range}, not ${text}`);
  }
  return number;
}

function checkPositionals(command: Command, positionals: readonly string[]): void {
  const { min, max } = command.positionals ?? { min: 0, max: 0 };
  const surplus = positionals[max];
  if (surplus !== undefined) throw usage(command, `unexpected argument "${surplus}"; usage: ${usageLine(command)}`);
  if (positionals.length < min) throw usage(command, `something is missing; usage: ${usageLine(command)}`);
}

export function usageLine(command: Command): string {
  return `millrace ${command.name} ${command.usage}`.trim();
}

function usage(command: Command, problem: string): MillraceError {
  return new MillraceError("USAGE", `${command.name}: ${problem}`);
}

function listOf(value: Value): readonly string[] {
  return Array.isArray(value) ? value : [];
}

function initial(spec: FlagSpec): Value {
  if (spec.type === "list") return [];
  if (spec.type === "boolean") return spec.default === true;
  return spec.default;
}
