import { storedText } from "../core/state-value.ts";
import { valueOf } from "./host/guest-stored.ts";

/**
 * A stored value as people and scripts are shown it, as JSON. Where JSON has no such value: a date as its text, bytes as `h'01ff'`, a bigint as `7n`, numbers
 * that are none and undefined by their names, a map as `{"Map": [[key, value] …]}`, a set as `{"Set": […]}`.
 */
export function shownValue(stored: Buffer): unknown {
  try {
    return shown(valueOf(storedText(stored), -Infinity));
  } catch {
    return "(cannot be read)"; // A host may have written anything.
  }
}

function shown(value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(shown);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? String(value) : value.toISOString();
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString("hex")}'`;
  if (value instanceof Map) return { Map: [...value].map(([key, element]) => [shown(key), shown(element)]) };
  if (value instanceof Set) return { Set: [...value].map(shown) };
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as unknown as Iterable<unknown>, shown);
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, shown(element)]));
}
