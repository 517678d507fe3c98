import { z } from "zod";
import { suggestion } from "../../core/nearest.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../core/units.ts";

/** Kinds of values that a manifest has in many places: durations, sizes and words to choose from. */

interface Quantity {
  readonly parse: (text: string) => number | undefined;
  readonly format: (amount: number) => string;
  readonly example: string;
  readonly units: string;
  readonly pattern: string;
}

export const DURATION: Quantity = {
  parse: parseDuration,
  format: formatDuration,
  example: "50ms",
  units: "ms, s, m, h, d",
  pattern: String.raw`\d+(\.\d+)?(ms|s|m|h|d)`,
};
export const SIZE: Quantity = {
  parse: parseSize,
  format: formatSize,
  example: "32MB",
  units: "B, KB, MB, GB",
  pattern: String.raw`\d+(\.\d+)?(B|KB|MB|GB|TB)`,
};

/** What is wrong with `input` as a quantity, with the nearest thing that would be right. */
function quantityProblem(kind: Quantity, input: unknown, bounds: Bounds): string {
  if (typeof input === "number") return unitMissing(kind, input, bounds);
  if (typeof input !== "string") return `must be a number with a unit (${kind.units}), such as "${kind.example}"`;
  const near = [...kind.units.split(", "), "sec", "secs", "min", "mins"].map((candidate) => repaired(kind, input, candidate)).find(Boolean);
  return `"${input}" is not a number with a unit (${kind.units}); try "${near ?? kind.example}"`;
}

/** With the first unit that makes it one that is allowed, from the usual one on. */
function unitMissing(kind: Quantity, input: number, bounds: Bounds): string {
  const usual = kind.example.replace(/^\d+/, "");
  const units = kind.units.split(", ");
  const near = [...units.slice(units.indexOf(usual)), ...units]
    .map((unit) => `${input}${unit}`)
    .find((text) => isWithin(kind, text, bounds));
  return near === undefined ? outOfBounds(String(input), bounds) : `${input} has no unit; try "${near}"`;
}

/** `50 ms`, `64mb`, `5 Sec` → the same in the form that is understood, when `unit` is the one that was meant. */
function repaired(kind: Quantity, input: string, unit: string): string | undefined {
  const [, amount, typed] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(input) ?? [];
  if (amount === undefined || typed === undefined) return undefined;
  if (typed === "") return `${amount}${kind.example.replace(/^\d+/, "")}`;
  if (typed.toLowerCase() !== unit.toLowerCase()) return undefined;
  const known = { sec: "s", secs: "s", min: "m", mins: "m" }[unit] ?? unit;
  const text = `${amount}${known}`;
  return kind.parse(text) === undefined ? undefined : text;
}

export interface Bounds {
  readonly min: string;
  readonly max: string;
  /** What to do instead of going beyond them. */
  readonly instead?: string;
}

function outOfBounds(text: string, { min, max, instead }: Bounds): string {
  return `${text} is out of bounds: ${min} to ${max} are allowed${instead === undefined ? "" : `; ${instead}`}`;
}

function isWithin(kind: Quantity, text: string, bounds: Bounds): boolean {
  const amount = kind.parse(text);
  return amount !== undefined && amount >= (kind.parse(bounds.min) ?? 0) && amount <= (kind.parse(bounds.max) ?? Infinity);
}

export function readQuantity(kind: Quantity, text: string, bounds: Bounds): { amount: number } | { problem: string } {
  const amount = kind.parse(text);
  if (amount === undefined || text !== text.trim()) return { problem: quantityProblem(kind, text, bounds) };
  return isWithin(kind, text, bounds) ? { amount } : { problem: outOfBounds(`"${text}"`, bounds) };
}

type QuantitySchema = z.ZodPrefault<z.ZodPipe<z.ZodString, z.ZodTransform<number, string>>>;

export function quantity(kind: Quantity, preset: string, bounds: Bounds, description: string): QuantitySchema {
  return z
    .string({ error: (issue) => quantityProblem(kind, issue.input, bounds) })
    .transform((text, ctx): number => {
      const read = readQuantity(kind, text, bounds);
      if ("amount" in read) return read.amount;
      ctx.addIssue({ code: "custom", message: read.problem, input: text });
      return z.NEVER;
    })
    .prefault(preset)
    .meta({ description: `${description} ${bounds.min} to ${bounds.max}.`, pattern: `^${kind.pattern}$` });
}

type ChoiceSchema<T extends string> = z.ZodPrefault<z.ZodEnum<{ [K in T]: K }>>;

/** One of a few words; anything else is answered with the nearest of them. */
export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  preset: T[number],
  description: string,
): ChoiceSchema<T[number]> {
  return z
    .enum(values, {
      error: ({ input }) => {
        if (typeof input !== "string") return `must be one of ${values.join(", ")}`;
        return `"${input}" is not known here${suggestion(input, values)}`;
      },
    })
    .prefault(preset)
    .meta({ description });
}
