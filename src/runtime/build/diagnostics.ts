import { isBuiltin } from "node:module";
import { join, relative } from "node:path";
import type { RolldownLog } from "rolldown";
import { MillraceError } from "../../core/errors.ts";

/** What is wrong in a source file: absolute path, line and column counted from 1. */
export interface Diagnostic {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly problem: string;
}

/** `shown` is how the user named `folder`. */
export interface Place {
  readonly folder: string;
  readonly shown: string;
}

/** All of them in one error, one per line, as `file:line:column: what is wrong`. */
export function buildError(found: readonly Diagnostic[], at: Place, cause?: unknown): MillraceError {
  const lines = found
    .toSorted((a, b) => (a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1))
    .map(({ file, line, column, problem }) => `${join(at.shown, relative(at.folder, file))}:${line}:${column}: ${problem}`);
  return new MillraceError("BUILD_FAILED", [...new Set(lines)].join("\n"), { cause });
}

export function fromLog(log: RolldownLog): Diagnostic {
  return {
    file: log.loc?.file ?? log.id ?? "",
    line: log.loc?.line ?? 1,
    column: (log.loc?.column ?? 0) + 1,
    problem: problemOf(log),
  };
}

function problemOf(log: RolldownLog): string {
  // The first line of a message carries its text; a drawing of the source follows, which a log file cannot show.
  const text = (log.message.split("\n")[0] ?? "").replace(/^\[[A-Z_]+\]\s*/, "");
  if (log.code === "UNRESOLVED_IMPORT") return importProblem(log.exporter ?? quoted(text));
  if (log.code === "EMPTY_IMPORT_META") return "import.meta means nothing in a function, which is one script without a place of its own";
  if (log.code === "INVALID_TLA_FORMAT") return "await is allowed inside the handler only, not at the top of a module";
  return text;
}

function quoted(text: string): string {
  return /'([^']*)'/.exec(text)?.[1] ?? text;
}

/** Why the module `name` cannot be part of a function. */
export function importProblem(name: string): string {
  if (isBuiltin(name))
    return `import of "${name}", a module of Node: functions run without Node; use what the handler's event and ctx offer`;
  if (name.startsWith("millrace/")) return `import of "${name}", which is for tests only`;
  if (name.endsWith(".node")) return `import of "${name}", native code: functions are JavaScript only`;
  if (/^\.{0,2}\//.test(name)) return `import of "${name}": there is no such file`;
  return `import of "${name}": there is no such package here; install it beside the function`;
}
