import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";

export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

/** What a benchmark prints with --json. */
export interface Report {
  readonly bench: string;
  readonly machine: string;
  readonly rows: readonly Row[];
}

export function machine(): string {
  const all = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${all.length} × ${all[0]?.model.trim() ?? "unknown processor"}, ${memory} GB, ${type()} ${release()}, Node ${process.version}`;
}

export function row(what: string, value: number, unit: string): Row {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
  return { what, value: Number(value.toFixed(digits)), unit };
}

export function table({ bench, machine: where, rows }: Report): string {
  const cells = rows.map(({ what, value, unit }) => [what, value.toLocaleString("en"), unit] as const);
  const whatWidth = Math.max(...cells.map(([what]) => what.length));
  const valueWidth = Math.max(...cells.map(([, value]) => value.length));
  const lines = cells.map(([what, value, unit]) => `  ${what.padEnd(whatWidth)}  ${value.padStart(valueWidth)} ${unit}`);
  return [`${bench}, on ${where}`, "", ...lines, ""].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

const SYNCS = 100;

/** What one durable write costs on the disk of `folder`: without it the other rows of two machines cannot be compared. */
export function syncRow(folder: string): Row {
  const bytes = Buffer.alloc(4_096, 1);
  const file = openSync(join(folder, "sync-probe"), "w");
  const times = Array.from({ length: SYNCS }, () => {
    const startedAt = performance.now();
    writeSync(file, bytes);
    fdatasyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  return row("this disk: write of 4 KiB with fdatasync", median(times), "ms");
}
