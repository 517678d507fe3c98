import type { Files } from "./tree.ts";

const LINES_MAX = 400;
const COLUMNS_MAX = 160;
const EXPORTS_MAX = 10;

/** What users import is as wide as the contract is. */
const ENTRIES = new Set(["src/sdk/index.ts", "src/sdk/std.ts", "src/sdk/testing.ts"]);

/** Files that are too long, too wide or offer too much. The length of functions is oxlint's to judge. */
export function sizeProblems(files: Files): string[] {
  return [...files].flatMap(([file, text]) => {
    const lines = text.trimEnd().split("\n");
    const problems: string[] = [];
    if (lines.length > LINES_MAX) problems.push(`${file}: ${lines.length} lines, at most ${LINES_MAX}; split it by state or by noun`);
    for (const [index, line] of lines.entries()) {
      if (line.length > COLUMNS_MAX) problems.push(`${file}:${index + 1}: ${line.length} columns, at most ${COLUMNS_MAX}`);
    }
    const names = ENTRIES.has(file) ? [] : exportsOf(text);
    if (names.length > EXPORTS_MAX) problems.push(`${file}: ${names.length} exports (${names.join(", ")}), at most ${EXPORTS_MAX}`);
    return problems;
  });
}

const DECLARATION =
  /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:class|const|function\*?|interface|let|type|enum)\s+(?<name>[A-Za-z_$][\w$]*)/gm;
const LIST = /^export\s+(?:type\s+)?\{(?<names>[^}]*)\}/gm;

/** The names a file exports. A schema and the type inferred from it (`xSchema`, `X`) are one thing and count once. */
export function exportsOf(text: string): string[] {
  const declared = [...text.matchAll(DECLARATION)].map((match) => match.groups?.["name"] ?? "");
  const listed = [...text.matchAll(LIST)].flatMap((match) =>
    (match.groups?.["names"] ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== ""),
  );
  const names = [...declared, ...listed];
  const schemas = new Set(names.filter((name) => name.endsWith("Schema")).map((name) => name.slice(0, -"Schema".length)));
  return names.filter((name) => !schemas.has(name.charAt(0).toLowerCase() + name.slice(1)));
}
