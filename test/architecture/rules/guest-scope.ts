import { parseSync } from "rolldown/utils";
import type { Files } from "./tree.ts";

const FOLDER = "src/runtime/host/";

/** The modules of the guest are one script in each isolate: a name at the top level of two of them would be declared twice there. */
export function guestScopeProblems(files: Files, modules: readonly string[]): string[] {
  const owners = new Map<string, string[]>();
  for (const module of modules) {
    const file = `${FOLDER}${module}.ts`;
    for (const name of topLevelNames(file, files.get(file) ?? "")) owners.set(name, [...(owners.get(name) ?? []), file]);
  }
  return [...owners]
    .filter(([, at]) => at.length > 1)
    .map(([name, at]) => `"${name}" is declared at the top level of ${at.join(" and ")}, which share one scope; rename one of them`);
}

/** Values only: types are gone when the script is made. */
export function topLevelNames(file: string, text: string): string[] {
  return parseSync(file, text).program.body.flatMap((statement) => {
    const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declaration?.type === "VariableDeclaration") return declaration.declarations.flatMap(({ id }) => namesIn(id));
    if (declaration?.type === "FunctionDeclaration" || declaration?.type === "ClassDeclaration") return declaration.id?.name ?? [];
    return [];
  });
}

/** Of a name or of what is taken apart. */
function namesIn(pattern: unknown): string[] {
  if (typeof pattern !== "object" || pattern === null) return [];
  const { type, name, properties, elements, argument, left, value } = pattern as Readonly<Record<string, unknown>>;
  if (type === "Identifier") return typeof name === "string" ? [name] : [];
  const parts = [properties, elements].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  return [...parts, argument, left, type === "Property" ? value : undefined].flatMap(namesIn);
}
