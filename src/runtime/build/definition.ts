import type { ESTree } from "rolldown/utils";

const WANTED = {
  handler: "the default export must be defineFunction({ handler(event, ctx) { … } })",
  batch: "function.yaml has batch, so the default export must be defineFunction({ batch(events, ctx) { … } })",
} as const;

/** What a function must have: `batch` and `migrate` when its manifest says so. */
export interface Wanted {
  readonly call: keyof typeof WANTED;
  /** `state.version` of the manifest. */
  readonly stateVersion: number;
}

interface Problem {
  readonly start: number;
  readonly problem: string;
}

/**
 * What is wrong with the default export of an entry module, as far as its text tells without running it. What only running would tell
 * (an imported definition, one that a function makes) is accepted here and checked when the isolate loads it.
 */
export function definitionProblem(program: ESTree.Program, wanted: Wanted): Problem | undefined {
  const found = defaultExport(program);
  if (found === undefined) return { start: 0, problem: `nothing is exported as default: ${WANTED[wanted.call]}` };
  const value = argumentOf(resolved(found, program));
  const problem = value === undefined ? undefined : problemOf(resolved(value, program), program, wanted);
  return problem === undefined ? undefined : { start: found.start, problem };
}

type Node = ESTree.Expression | ESTree.Node;

function defaultExport(program: ESTree.Program): Node | undefined {
  for (const statement of program.body) {
    if (statement.type === "ExportDefaultDeclaration") return statement.declaration;
    if (statement.type === "ExportAllDeclaration" && statement.exported === null) return statement;
    if (statement.type !== "ExportNamedDeclaration") continue;
    const specifier = statement.specifiers.find(
      ({ exported }) => (exported.type === "Literal" ? exported.value : exported.name) === "default",
    );
    if (specifier !== undefined) return statement.source === null ? specifier.local : statement;
  }
  return undefined;
}

/** Follows a name to the constant of this module that it stands for, and drops what only types say; `steps` bounds a name that leads to itself. */
function resolved(node: Node, program: ESTree.Program, steps = 8): Node {
  if (steps === 0) return node;
  if (node.type === "TSSatisfiesExpression" || node.type === "TSAsExpression" || node.type === "ParenthesizedExpression") {
    return resolved(node.expression, program, steps - 1);
  }
  if (node.type !== "Identifier") return node;
  for (const statement of program.body) {
    const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declaration?.type !== "VariableDeclaration" || declaration.kind !== "const") continue;
    const init = declaration.declarations.find(({ id }) => id.type === "Identifier" && id.name === node.name)?.init;
    if (init !== undefined && init !== null) return resolved(init, program, steps - 1);
  }
  return node;
}

/** The definition handed to defineFunction; undefined when it cannot be told. */
function argumentOf(node: Node): Node | undefined {
  if (node.type !== "CallExpression") return node;
  const direct = node.callee.type === "Identifier" && node.callee.name === "defineFunction";
  return direct ? (node.arguments[0] ?? node) : undefined;
}

const NEVER_A_DEFINITION: ReadonlySet<string> = new Set([
  "Literal",
  "TemplateLiteral",
  "ArrayExpression",
  "CallExpression",
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
  "ClassDeclaration",
  "ClassExpression",
]);

function problemOf(node: Node, program: ESTree.Program, wanted: Wanted): string | undefined {
  if (NEVER_A_DEFINITION.has(node.type)) return WANTED[wanted.call];
  if (node.type !== "ObjectExpression" || node.properties.some(({ type }) => type === "SpreadElement")) return undefined;
  const found = new Set<string>();
  for (const property of node.properties) {
    if (property.type !== "Property" || property.computed) continue;
    const name = nameOf(property.key) ?? "";
    found.add(name);
    if (!MEMBERS.has(name) || !isNeverCallable(resolved(property.value, program))) continue;
    return `"${name}" is not a function${name === wanted.call ? `: ${WANTED[wanted.call]}` : ""}`;
  }
  if (!found.has(wanted.call)) return `it has no "${wanted.call}": ${WANTED[wanted.call]}`;
  if (wanted.stateVersion === 1 || found.has("migrate")) return undefined;
  return `it has no "migrate": function.yaml has state.version ${wanted.stateVersion}, so the definition needs migrate(entries, from, ctx) { … }`;
}

/** What a definition may have beside other things, each a function. */
const MEMBERS: ReadonlySet<string> = new Set(["handler", "batch", "init", "migrate"]);

function nameOf(key: Node): string | undefined {
  if (key.type === "Identifier") return key.name;
  return key.type === "Literal" ? String(key.value) : undefined;
}

function isNeverCallable({ type }: Node): boolean {
  return type === "Literal" || type === "TemplateLiteral" || type === "ArrayExpression" || type === "ObjectExpression";
}
