/** Durations and sizes as people write them in manifests and configuration. */

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };

/** `"20ms"`, `"5s"`, `"1h"` → milliseconds; undefined when it is not a duration. */
export function parseDuration(text: string): number | undefined {
  return parse(text, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, DURATION_MS);
}

/** `"64MB"`, `"512KB"` → bytes, in powers of 1,024; undefined when it is not a size. */
export function parseSize(text: string): number | undefined {
  return parse(text, /^(\d+(?:\.\d+)?)(B|KB|MB|GB|TB)$/, SIZE_BYTES);
}

function parse(text: string, pattern: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const match = pattern.exec(text.trim());
  const factor = units[match?.[2] ?? ""];
  return match === null || factor === undefined ? undefined : Math.round(Number(match[1]) * factor);
}

/** Milliseconds → `"1.5s"`, in the largest unit that keeps it at or above one. */
export function formatDuration(ms: number): string {
  return format(ms, DURATION_MS);
}

/** Bytes → `"1.5MB"`. */
export function formatSize(bytes: number): string {
  return format(bytes, SIZE_BYTES);
}

function format(amount: number, units: Readonly<Record<string, number>>): string {
  let best: [string, number] | undefined;
  for (const entry of Object.entries(units)) if (best === undefined || amount >= entry[1]) best = entry;
  if (best === undefined) return String(amount);
  return `${Number((amount / best[1]).toFixed(1))}${best[0]}`;
}
