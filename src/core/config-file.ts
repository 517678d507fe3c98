import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { entryProblem, placeOf } from "./config-group.ts";
import type { ConfigTable, PlainSetting } from "./config-table.ts";
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
  const place = placeOf(reader.table, name);
  if (place === undefined) return report(`unknown key${suggestion(pair.key, keysBelow(reader.table, pair.prefix))}`);
  const misnamed = entryProblem(reader.table, name);
  if (misnamed !== undefined) return report(misnamed);
  if ("setting" in place) return readValue(reader, { name, setting: place.setting, value }, report);
  if (isMap(value)) return readMap(reader, value, `${name}.`);
  // A section whose keys are all commented out is empty, not wrong.
  if (value !== null && !(isScalar(value) && value.value === null)) report(`expected keys below it: ${place.keys.join(", ")}`);
}

function readValue(
  reader: Reader,
  { name, setting, value }: { name: string; setting: PlainSetting; value: Node | null },
  report: (problem: string) => void,
): void {
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

/** The keys that there may be after a prefix that is empty or ends with a dot. */
function keysBelow(table: ConfigTable, prefix: string): readonly string[] {
  const place = placeOf(table, prefix.slice(0, -1));
  return place !== undefined && "keys" in place ? place.keys : [];
}
