import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document } from "yaml";
import { messageOf } from "../../core/errors.ts";

export type Path = readonly PropertyKey[];

/** Something wrong with a YAML file: the line, counted from 1, the key as a person writes it, and what is wrong. */
export interface Mistake {
  readonly line: number;
  readonly key: string;
  readonly problem: string;
}

export interface YamlSource {
  /** Plain objects, arrays and scalars; undefined when the text is not YAML. */
  readonly value: unknown;
  readonly mistakes: readonly Mistake[];
  /** The line of the deepest part of `path` that the file has. */
  lineOf(path: Path): number;
}

/** Reads one YAML document and remembers which line each key came from. */
export function readYaml(text: string): YamlSource {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
    const mistakes = [...document.errors, ...document.warnings].map((error) => ({
      line: lines.linePos(error.pos[0]).line,
      key: "YAML",
      problem: error.code === "MULTIPLE_DOCS" ? "the file holds more than one document; one function has one manifest" : error.message,
    }));
    const lineOf = (path: Path): number => lines.linePos(offsetOf(document, path)).line || 1;
    return { value: mistakes.length > 0 ? undefined : document.toJS({ maxAliasCount: 0 }), mistakes, lineOf };
  } catch (cause) {
    // The parser throws on aliases, which could multiply without end or contain themselves, and on nesting deeper than its stack.
    const problem = cause instanceof ReferenceError ? "aliases (*name) are not supported" : `the file cannot be read: ${messageOf(cause)}`;
    return { value: undefined, mistakes: [{ line: 1, key: "YAML", problem }], lineOf: () => 1 };
  }
}

function offsetOf(document: Document, path: Path): number {
  let at: unknown = document.contents;
  let offset = startOf(at) ?? 0;
  for (const step of path) {
    if (isMap(at)) {
      const pair = at.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      at = pair.value;
    } else if (isSeq(at) && typeof step === "number") {
      at = at.items[step];
      offset = startOf(at) ?? offset;
    } else break;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

/** `["triggers", 0, "mqtt"]` → `triggers[0].mqtt`. */
export function keyText(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    return text === "" ? String(step) : `${text}.${String(step)}`;
  }, "");
}
