import type { GatewayStats } from "../core/stats.ts";

export interface Metric<T> {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  /** Undefined where it is not known. */
  value(of: T): number | undefined;
}

/** Metrics of one name, as Prometheus has it. Names begin with `millrace_`, which is left out here. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "summary" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Lines of the text format. */
  samples(stats: GatewayStats): readonly string[];
}

type Labelled<T> = readonly (readonly [T, Readonly<Record<string, string>>])[];

/** A family with one value for each thing that the gateway has. */
export function single<T>(metric: Metric<T>, names: readonly string[], all: (stats: GatewayStats) => Labelled<T>): Family {
  const { name, type, help } = metric;
  const samples = (stats: GatewayStats): string[] =>
    all(stats).flatMap(([of, by]) => {
      const value = metric.value(of);
      return value === undefined ? [] : [`millrace_${name}${labels(by)} ${value}`];
    });
  return { name, type, help, labels: names, samples };
}

export function labels(values: Readonly<Record<string, string>>): string {
  const entries = Object.entries(values);
  return entries.length === 0 ? "" : `{${entries.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
