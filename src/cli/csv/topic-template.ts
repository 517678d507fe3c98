import { MillraceError } from "../../core/errors.ts";
import { suggestion } from "../../core/nearest.ts";
import { topicProblem } from "../../core/topic.ts";
import type { CsvRow } from "./rows.ts";

export interface TopicTemplate {
  /** Names between braces, each once. */
  readonly names: readonly string[];
  /** @throws MillraceError CSV_INVALID naming file and line when a cell cannot be a topic level. */
  render(row: CsvRow): string;
}

export interface TemplateSource {
  readonly file: string;
  readonly columns: readonly string[];
  /** Fixed values, which go before a column of the same name. */
  readonly set: ReadonlyMap<string, string>;
}

/**
 * Compiles `sensors/{site}/{device}/raw`. What stands for a name is one topic level or a part of one, so it may not hold `/`, `+` or `#`.
 * @throws MillraceError USAGE when the template itself is wrong, CSV_INVALID when it names a column that the file does not have.
 */
export function compileTopic(template: string, source: TemplateSource): TopicTemplate {
  const parts = split(template);
  const names = [...new Set(parts.flatMap((part) => (part.name === undefined ? [] : [part.name])))];
  const problem = topicProblem(parts.map((part) => part.text ?? "x").join(""));
  if (problem !== undefined) throw new MillraceError("USAGE", `--topic "${template}": ${problem}`);
  for (const [name, value] of source.set) checkFixed(name, value, names);
  const readers = parts.map((part) => readerOf(part, source));
  return { names, render: (row) => readers.map((read) => read(row)).join("") };
}

interface Part {
  readonly text?: string;
  readonly name?: string;
}

function split(template: string): readonly Part[] {
  const parts = template.split(/(\{[^{}]*\})/).filter((part) => part !== "");
  return parts.map((part) => {
    if (part === "{}") throw new MillraceError("USAGE", `--topic "${template}": "{}" names no column`);
    if (part.startsWith("{") && part.endsWith("}")) return { name: part.slice(1, -1).trim() };
    if (/[{}]/.test(part)) throw new MillraceError("USAGE", `--topic "${template}": a brace in "${part}" has no partner`);
    return { text: part };
  });
}

function checkFixed(name: string, value: string, names: readonly string[]): void {
  if (!names.includes(name)) {
    throw new MillraceError("USAGE", `--set ${name}=${value}: the topic has no {${name}}${suggestion(name, names)}`);
  }
  const problem = levelProblem(value);
  if (problem !== undefined) throw new MillraceError("USAGE", `--set ${name}=${value}: ${problem}`);
}

function readerOf(part: Part, source: TemplateSource): (row: CsvRow) => string {
  const { text, name } = part;
  if (name === undefined) return () => text ?? "";
  const fixed = source.set.get(name);
  if (fixed !== undefined) return () => fixed;
  const index = source.columns.indexOf(name);
  if (index < 0) {
    const near = suggestion(name, source.columns);
    throw new MillraceError(
      "CSV_INVALID",
      `${source.file}:1: --topic names {${name}}, which is neither a column nor given by --set ${name}=VALUE${near}`,
    );
  }
  return (row) => {
    const cell = row.cells[index] ?? "";
    const problem = levelProblem(cell);
    if (problem === undefined) return cell;
    throw new MillraceError("CSV_INVALID", `${source.file}:${row.line}: column "${name}" cannot be part of a topic: ${problem}`);
  };
}

function levelProblem(value: string): string | undefined {
  if (value === "") return "it is empty";
  const bad = /[/+#\0]/.exec(value)?.[0];
  if (bad === undefined) return undefined;
  return `"${value.slice(0, 80)}" contains ${bad === "\0" ? "a NUL character" : `"${bad}"`}`;
}
