export type Colour = "dim" | "bold" | "red" | "green" | "yellow" | "cyan";

/** Paints text, or leaves it alone where colours are not wanted. */
export type Paint = (colour: Colour, text: string) => string;

const CODES: Readonly<Record<Colour, readonly [on: number, off: number]>> = {
  dim: [2, 22],
  bold: [1, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export const plain: Paint = (_colour, text) => text;

export const coloured: Paint = (colour, text) => {
  const [on, off] = CODES[colour];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

const BARS = "▁▂▃▄▅▆▇█";

/** Values as a row of bars, the largest one full height; zero is the lowest bar. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values, 1e-9);
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.floor((Math.max(0, value) / top) * (BARS.length - 1) + 0.5))]).join("");
}

/** `3 m 12 s`, the two largest units. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first < 0 ? -1 : first)
    .slice(0, 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** A number in at most seven characters: `12,345`, `123.4k`, `12.3M`. */
export function shortCount(value: number): string {
  if (value < 100_000) return Math.round(value).toLocaleString("en-US");
  if (value < 1_000_000) return `${(value / 1_000).toFixed(1)}k`;
  return value < 1e9 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e9).toFixed(2)}G`;
}

/** The time of day as the clock on the wall shows it. */
export function clockTime(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}
