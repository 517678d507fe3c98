import type { PlainSetting as Setting } from "./config-table.ts";
import { suggestion } from "./nearest.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

export type Parsed = { readonly value: unknown } | { readonly problem: string };

/** A value as a flag or a variable carries it: lists are `a,b`, maps `site=milan,ring=canary`. */
export function parseText(setting: Setting, text: string): Parsed {
  if (setting.type === "string") return textValue(setting, text);
  if (setting.type === "list") return { value: splitList(text) };
  if (setting.type === "map") return mapOfText(text);
  if (setting.type !== "int") return measured(setting, text);
  return /^[+-]?\d+$/.test(text.trim()) ? bounded(setting, Number(text)) : expected("a whole number", text);
}

/** A value as a YAML file carries it. */
export function parseYamlValue(setting: Setting, value: unknown): Parsed {
  if (setting.type === "string") return typeof value === "string" ? textValue(setting, value) : expected(QUOTED, value);
  if (setting.type === "list") return isTexts(value) ? { value } : expected("a list of texts, such as [one, two]", value);
  if (setting.type === "map") return mapOfYaml(value);
  // Nothing is nothing in every unit.
  if (setting.type !== "int")
    return typeof value === "string" || value === 0 ? measured(setting, String(value)) : expected(MEASURES[setting.type], value);
  return Number.isSafeInteger(value) ? bounded(setting, value as number) : expected("a whole number", value);
}

/** A value as a person writes it, for documents. */
export function showValue(setting: Setting): string {
  if (setting.defaultText !== undefined) return setting.defaultText;
  if (setting.type === "duration") return formatDuration(setting.default);
  if (setting.type === "size") return formatSize(setting.default);
  if (setting.type === "string" || setting.type === "int") return String(setting.default);
  return JSON.stringify(setting.default);
}

/** The bounds of a number as a person writes them. */
export function showRange(setting: BoundedSetting): string {
  const text = setting.type === "int" ? String : setting.type === "size" ? formatSize : formatDuration;
  return `${text(setting.min)} to ${text(setting.max)}`;
}

type BoundedSetting = Extract<Setting, { min: number }>;
type MeasureSetting = Extract<Setting, { type: "duration" | "size" }>;

const QUOTED = "text (in quotes, if it looks like something else)";
const MEASURES = { duration: "a duration such as 500ms, 20s or 5m", size: "a size such as 64KB, 1MB or 2GB" } as const;

function textValue(setting: Extract<Setting, { type: "string" }>, text: string): Parsed {
  const { choices, check } = setting;
  if (choices !== undefined && !choices.includes(text)) return { problem: `it cannot be "${text}"${suggestion(text, choices)}` };
  const problem = check?.(text);
  return problem === undefined ? { value: text } : { problem };
}

function measured(setting: MeasureSetting, text: string): Parsed {
  // "1 MB" is what many people write first; the space is the only thing wrong with it.
  const compact = text.replaceAll(/\s+/g, "");
  const value = compact === "0" ? 0 : setting.type === "duration" ? parseDuration(compact) : parseSize(compact);
  return value === undefined ? expected(MEASURES[setting.type], text) : bounded(setting, value);
}

function bounded(setting: BoundedSetting, value: number): Parsed {
  if (value >= setting.min && value <= setting.max) return { value };
  return { problem: `it must be from ${showRange(setting)}` };
}

function splitList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function mapOfText(text: string): Parsed {
  const map: Record<string, string> = {};
  for (const pair of splitList(text)) {
    const at = pair.indexOf("=");
    if (at < 1) return { problem: `expected pairs such as site=milan,ring=canary, found "${pair}"` };
    map[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  return { value: map };
}

function mapOfYaml(value: unknown): Parsed {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return expected("a map, such as {site: milan}", value);
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") return { problem: `"${key}": expected ${QUOTED}, found ${show(item)}` };
  }
  return { value };
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function expected(what: string, value: unknown): Parsed {
  return { problem: `expected ${what}, found ${show(value)}` };
}

function show(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
