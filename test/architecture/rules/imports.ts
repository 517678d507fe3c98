import { posix } from "node:path";
import type { Files } from "./tree.ts";

/**
 * The import rules of the design: cli → gateway | control-plane → broker | journal | runtime | sync | control | http → core, one way only.
 * Read from the text, because TypeScript 7 has no API: oxfmt puts every import and export at the start of a line, which makes that safe.
 */
export interface Import {
  readonly specifier: string;
  readonly line: number;
}

const PARTS = ["broker", "journal", "runtime", "sync", "control", "http"];
const GATEWAY_PARTS = PARTS.filter((part) => part !== "control");

/** Layer → the other layers it may import. A layer is a folder of src, or a file directly in it. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  sdk: ["core"],
  ...Object.fromEntries(PARTS.map((part) => [part, ["core"]])),
  "gateway.ts": ["core", ...GATEWAY_PARTS],
  "control-plane.ts": ["core", "control"],
  cli: ["core", "gateway.ts", "control-plane.ts", ...PARTS],
};

/** What runs inside host processes is closed in itself, so that nothing of the gateway can get into them by accident. */
const HOST = "src/runtime/host/";

/** Where the environment may be read. The host folder passes a stripped one to the processes it starts. */
const ENVIRONMENT = ["src/cli/main.ts", "src/core/config.ts", HOST];

/** Entries of the package, which may collect what users import. */
const ENTRIES = ["src/sdk/index.ts", "src/sdk/std.ts", "src/sdk/testing.ts"];
/** What the test kit shares with isolates. */
const GUEST_MODULES = ["stored", "state-names", "state-version", "migrate", "effect-limit"];
/** The test kit reads manifests the way a build does, keeps values and counts effects the way an isolate does. */
const TEST_KIT = {
  from: "src/sdk/testing",
  to: ["src/runtime/build/", ...GUEST_MODULES.map((name) => `src/runtime/host/guest-${name}.ts`)],
};
const ALIASES: Readonly<Record<string, string>> = {
  millrace: "src/sdk/index.ts",
  "millrace/std": "src/sdk/std.ts",
  "millrace/testing": "src/sdk/testing.ts",
};

/** `import … from`, `import` for effect, `export … from`: always at the start of a line. */
const STATIC = /^(?:import\s+(?:[^"'`;]*?\bfrom\s*)?|export\s+(?:type\s+)?(?:\*|\{)[^"'`;]*?\bfrom\s*)(["'])(?<specifier>[^"'\n]+)\1/gm;
/** `await import("…")` and the type `import("…").X`, anywhere. */
const DYNAMIC = /\bimport\(\s*(["'])(?<specifier>[^"'\n]+)\1/g;
const COMPUTED = /(?<!["'`\w.])import\(\s*(?!["'\s)]|\$\{)/gm;

export function importsOf(text: string): Import[] {
  return [...text.matchAll(STATIC), ...text.matchAll(DYNAMIC)].map((match) => ({
    specifier: match.groups?.["specifier"] ?? "",
    line: lineOf(text, match.index),
  }));
}

/** Everything in `files` that breaks a rule, one sentence each. */
export function importProblems(files: Files): string[] {
  const problems: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, text] of files) {
    const targets: string[] = [];
    for (const { specifier, line } of importsOf(text)) {
      const target = resolve(file, specifier);
      const problem = edgeProblem({ file, specifier, target }, files);
      if (problem !== undefined) problems.push(`${file}:${line}: ${problem}`);
      if (target !== undefined) targets.push(target);
    }
    graph.set(file, targets);
    if (ALLOWED[layerOf(file)] === undefined) problems.push(`${file}: "${layerOf(file)}" is not a layer of the design`);
    problems.push(...textProblems(file, text));
  }
  return [...problems, ...cycles(graph).map((cycle) => `cycle: ${cycle.join(" → ")}`)];
}

interface Edge {
  readonly file: string;
  readonly specifier: string;
  /** The file meant; undefined for a package. */
  readonly target: string | undefined;
}

function edgeProblem({ file, specifier, target }: Edge, files: Files): string | undefined {
  const from = layerOf(file);
  if (target === undefined) {
    return from === "sdk" && specifier.startsWith("node:") && !file.startsWith(TEST_KIT.from)
      ? `"${specifier}": functions run without Node, so the SDK does too`
      : undefined;
  }
  if (!target.startsWith("src/")) return target.endsWith("package.json") ? undefined : `"${specifier}" leads out of src`;
  if (!files.has(target)) return `"${specifier}" is no file of src`;
  const to = layerOf(target);
  if (file.startsWith(TEST_KIT.from) && TEST_KIT.to.some((path) => target.startsWith(path))) return undefined;
  if (from !== to && !(ALLOWED[from]?.includes(to) ?? true)) return `${from} must not import ${to} ("${specifier}")`;
  if (file.startsWith(HOST) && to !== "core" && !target.startsWith(HOST)) {
    return `what runs in a host process imports only core and itself, not "${specifier}"`;
  }
  return undefined;
}

function textProblems(file: string, text: string): string[] {
  const problems: string[] = [];
  const report = (pattern: RegExp, problem: string): void => {
    for (const match of text.matchAll(pattern)) problems.push(`${file}:${lineOf(text, match.index)}: ${problem}`);
  };
  if (!ENVIRONMENT.some((place) => file === place || (place.endsWith("/") && file.startsWith(place)))) {
    const environment =
      /(?<!["'`])\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\[["']env["']\]|^import\s+\{[^}]*\benv\b[^}]*\}\s+from\s+["'](?:node:)?process["']/gm;
    report(environment, "only the configuration reads the environment");
  }
  report(COMPUTED, "import() of a computed name hides what is imported");
  if (!ENTRIES.includes(file)) {
    report(/^export\s+(?:type\s+)?\*/gm, "`export *` makes a barrel; import from the file that declares it");
    if (isBarrel(text)) problems.push(`${file}: nothing but re-exports; import from the files that declare them`);
  }
  return problems;
}

/** Whether a file hands on what others declare and declares nothing. */
function isBarrel(text: string): boolean {
  const declares = /^(?:export\s+)?(?:abstract\s+|async\s+|declare\s+|default\s+)*(?:class|const|function|interface|let|type\s+\w|enum)\b/m;
  return /^export\s+(?:type\s+)?\{[^}]*\}/m.test(text) && !declares.test(text);
}

function layerOf(file: string): string {
  return file.split("/")[1] ?? file;
}

function resolve(file: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(file), specifier);
  return ALIASES[specifier];
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Every cycle is found once, at the first of its edges that closes it. Type imports count: a knot of types is a knot. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push([...path.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}
