import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import type { ConfigTable } from "./config-table.ts";
import { parseYamlValue } from "./config-value.ts";
import { messageOf } from "./errors.ts";
import { suggestion } from "./nearest.ts";

/** One setting that a source gives, or one mistake in it. */
export type Found = { readonly name: string; readonly value: unknown } | { readonly where: string; readonly problem: string };

/** Everything a YAML text says, the mistakes with file and line. Keys may be nested (`mqtt: {port: 1}`) or dotted (`mqtt.port: 1`). */
export function readConfigText(table: ConfigTable, text: string, file: string): Found[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return document.errors.map(({ pos, message }) => ({ where: `${file}:${lines.linePos(pos[0]).line}`, problem: message }));
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return [];
  if (!isMap(root)) return [{ where: `${file}:1`, problem: "expected keys and values, such as `data: /var/lib/millrace`" }];
  const reader: Reader = {
    table,
    document,
    found: [],
    seen: new Set(),
    where: (node) => `${file}:${lines.linePos(node?.range?.[0] ?? 0).line}`,
  };
  readMap(reader, root, "");
  return reader.found;
}

interface Reader {
  readonly table: ConfigTable;
  readonly document: Document;
  readonly found: Found[];
  readonly seen: Set<string>;
  where(node: Node | null | undefined): string;
}

function readMap(reader: Reader, map: YAMLMap, prefix: string): void {
  for (const pair of map.items) {
    const key = pair.key as Node | null;
    if (!isScalar(key) || typeof key.value !== "string") {
      reader.found.push({ where: reader.where(key ?? map), problem: "a key has to be a word" });
      continue;
    }
    readPair(reader, { key: key.value, node: key, value: pair.value as Node | null, prefix });
  }
}

function readPair(reader: Reader, pair: { key: string; node: Node; value: Node | null; prefix: string }): void {
  const name = pair.prefix + pair.key;
  const report = (problem: string): void => void reader.found.push({ where: reader.where(pair.node), problem: `${name}: ${problem}` });
  const value = isAlias(pair.value) ? (pair.value.resolve(reader.document) ?? null) : pair.value;
  if (reader.seen.has(name)) return report("it is given twice");
  reader.seen.add(name);
  if (Object.hasOwn(reader.table, name)) return readValue(reader, name, value, report);
  const section = Object.keys(reader.table).some((known) => known.startsWith(`${name}.`));
  if (!section) return report(`unknown key${suggestion(pair.key, keysBelow(reader.table, pair.prefix))}`);
  if (isMap(value)) return readMap(reader, value, `${name}.`);
  // A section whose keys are all commented out is empty, not wrong.
  if (value !== null && !(isScalar(value) && value.value === null)) {
    report(`expected keys below it: ${keysBelow(reader.table, `${name}.`).join(", ")}`);
  }
}

function readValue(reader: Reader, name: string, value: Node | null, report: (problem: string) => void): void {
  const setting = reader.table[name];
  if (setting === undefined) return;
  let plain: unknown;
  try {
    plain = value?.toJS(reader.document, { maxAliasCount: 10 });
  } catch (error) {
    return report(messageOf(error));
  }
  const parsed = parseYamlValue(setting, plain);
  if ("problem" in parsed) report(parsed.problem);
  else reader.found.push({ name, value: parsed.value });
}

function keysBelow(table: ConfigTable, prefix: string): string[] {
  const heads = Object.keys(table)
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length).split(".")[0] ?? "");
  return [...new Set(heads)];
}
