import { isBuiltin } from "node:module";
import type { Plugin } from "rolldown";
import { parseSync, type ESTree, type ParseResult } from "rolldown/utils";
import { importProblem, type Diagnostic } from "./diagnostics.ts";
import { definitionProblem, type Wanted } from "./definition.ts";

const SCRIPT = /\.[cm]?[jt]sx?$/;

interface Spot {
  readonly start: number;
  readonly problem: string;
}

/** Looks at each module as it was written, for what the bundler lets pass although no isolate could run it. */
export function inspectModules({ entry, wanted }: { entry: string; wanted: Wanted }, report: (diagnostic: Diagnostic) => void): Plugin {
  const modules = new Map<string, { readonly code: string; readonly parsed: ParseResult }>();
  return {
    name: "millrace-inspect",
    transform(code, id) {
      if (!SCRIPT.test(id)) return undefined;
      const parsed = parseSync(id, code);
      // A module that does not parse is reported by the bundler itself, with its position.
      if (parsed.errors.length > 0) return undefined;
      modules.set(id, { code, parsed });
      const spots = [...unknownImports(parsed, code), ...(id === entry ? definitionSpots(parsed.program, wanted) : [])];
      for (const { start, problem } of spots) report({ file: id, ...positionOf(code, start), problem });
      return undefined;
    },
    // Asked only for imports that are left when those of types alone are gone.
    resolveId(source, importer) {
      if (!isBuiltin(source) && !source.endsWith(".node")) return undefined;
      const module = modules.get(importer ?? "");
      const position =
        module === undefined ? { line: 1, column: 1 } : positionOf(module.code, importStart(module.parsed, module.code, source));
      report({ file: importer ?? entry, ...position, problem: importProblem(source) });
      return { id: source, external: true };
    },
  };
}

function importStart({ module }: ParseResult, code: string, source: string): number {
  const found = module.staticImports.find(({ moduleRequest }) => moduleRequest.value === source);
  if (found !== undefined) return found.moduleRequest.start;
  // A require() or an import(): the parser's list does not hold its text.
  return Math.max(0, code.search(new RegExp(`["'\`]${RegExp.escape(source)}["'\`]`)));
}

function unknownImports({ module }: ParseResult, code: string): Spot[] {
  return module.dynamicImports
    .map(({ start, moduleRequest }) => ({ start, text: code.slice(moduleRequest.start, moduleRequest.end) }))
    .filter(({ text }) => !isLiteral(text))
    .map(({ start, text }) => ({ start, problem: `import(${text}): only a module named in quotes can be bundled` }));
}

function isLiteral(text: string): boolean {
  return /^(["'])[^"'\\]*\1$/.test(text) || /^`[^`$\\]*`$/.test(text);
}

function definitionSpots(program: ESTree.Program, wanted: Wanted): Spot[] {
  const found = definitionProblem(program, wanted);
  return found === undefined ? [] : [found];
}

function positionOf(code: string, offset: number): { line: number; column: number } {
  const before = code.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}
