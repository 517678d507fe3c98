import { readFileSync, statSync } from "node:fs";
import { isMap, LineCounter, type Node, parseDocument } from "yaml";
import { z } from "zod";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import { topicProblem } from "../../core/topic.ts";
import { filterProblem } from "../filters.ts";
import { addressRange } from "./address-range.ts";
import { withPlaceholders } from "./placeholders.ts";

const FILE_BYTES_MAX = 2 ** 20;
const FILTERS_MAX = 10_000;

const texts = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform((given) => (typeof given === "string" ? [given] : given));
const filters = texts.superRefine((list, context) => {
  for (const [index, text] of list.entries()) {
    const problem = accessFilterProblem(text);
    if (problem !== undefined) context.addIssue({ code: "custom", path: [index], message: `"${text}": ${problem}` });
  }
});
const ranges = texts.transform((list, context) =>
  list.map((text) => {
    const range = addressRange(text);
    if (range === undefined)
      context.addIssue({ code: "custom", message: `"${text}" is neither an address nor a range such as 10.0.0.0/8` });
    return range ?? ((): boolean => false);
  }),
);
const actionsSchema = z
  .strictObject({ publish: filters.optional(), subscribe: filters.optional(), retain: filters.optional() })
  .refine((actions) => Object.keys(actions).length > 0, "expected publish, subscribe or retain below it");
const whoSchema = z
  .strictObject({
    user: texts.optional(),
    group: texts.optional(),
    client: texts.optional(),
    address: ranges.optional(),
    anonymous: z.literal(true).optional(),
    function: texts.optional(),
  })
  .refine(
    (who) => Object.keys(who).length > 0,
    "expected user, group, client, address, anonymous or function below it; leave `who` out for every client",
  )
  .refine(
    (who) => who.function === undefined || Object.keys(who).length === 1,
    "a function is no client: leave out what stands beside `function`, or make two rules of it",
  );
const ruleSchema = z
  .strictObject({
    name: z.string().min(1).max(100).optional(),
    who: whoSchema.optional(),
    allow: actionsSchema.optional(),
    deny: actionsSchema.optional(),
  })
  .refine(({ allow, deny }) => allow !== undefined || deny !== undefined, "expected allow or deny")
  .refine(
    ({ who, allow, deny }) => who?.function === undefined || (allow?.subscribe ?? deny?.subscribe) === undefined,
    "functions do not subscribe: their triggers say which messages they get; expected publish or retain",
  );
const fileSchema = z.strictObject({ rules: z.array(ruleSchema) });

const ACTIONS = ["publish", "subscribe", "retain"] as const;
export type Action = (typeof ACTIONS)[number];
type Actions = { readonly [A in Action]?: readonly string[] | undefined };

export interface Rule {
  /** How an operator finds it: its name, if it has one, and file and line. */
  readonly where: string;
  /** Undefined for every client. */
  readonly who: z.output<typeof whoSchema> | undefined;
  readonly allow: Actions;
  readonly deny: Actions;
}

/** The rules of an access file in their order; undefined when there is no such file. @throws MillraceError ACCESS_INVALID, FILE_UNREADABLE */
export function readRules(file: string): readonly Rule[] | undefined {
  const text = textOf(file);
  return text === undefined ? undefined : parseRules(text, file);
}

/** @throws MillraceError ACCESS_INVALID with the line of every mistake */
export function parseRules(text: string, file: string): readonly Rule[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  if (document.errors.length > 0) throw invalid(document.errors.map(({ pos, message }) => `${file}:${lineAt(pos[0])}: ${message}`));
  if (!isMap(document.contents)) throw invalid([`${file}:1: expected \`rules:\` and a list below it`]);
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true) as Node | undefined;
      if (node?.range) return lineAt(node.range[0]);
    }
    return 1;
  };
  let plain: unknown;
  try {
    plain = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw invalid([`${file}: ${messageOf(error)}`]);
  }
  const parsed = fileSchema.safeParse(plain);
  if (!parsed.success)
    throw invalid(parsed.error.issues.map(({ path, message }) => `${file}:${lineOf(path)}: ${path.join(".")}: ${message}`));
  const rules = parsed.data.rules.map(({ name, who, allow = {}, deny = {} }, index) => {
    const place = `${file}:${lineOf(["rules", index])}`;
    return { where: name === undefined ? place : `"${name}", ${place}`, who, allow, deny };
  });
  const count = rules.reduce((sum, { allow, deny }) => sum + sizeOf(allow) + sizeOf(deny), 0);
  if (count > FILTERS_MAX) throw invalid([`${file}: it has ${count} topic filters, at most ${FILTERS_MAX} are taken`]);
  return rules;
}

function sizeOf(actions: Actions): number {
  return ACTIONS.reduce((sum, action) => sum + (actions[action]?.length ?? 0), 0);
}

/** Placeholders count as ordinary text here. */
function accessFilterProblem(text: string): string | undefined {
  const plain = withPlaceholders(text, { user: "u", client: "c" });
  if (plain === undefined) return 'a "%" stands for itself only when it is written twice; %u is the user, %c the client id';
  if (plain.startsWith("$")) return `topics that start with "$" belong to the broker; members of the group operators may read $SYS`;
  return filterProblem(plain) ?? topicProblem(plain.replaceAll(/[+#]/g, "x"));
}

function textOf(file: string): string | undefined {
  try {
    const { mode, size } = statSync(file);
    if ((mode & 0o022) !== 0) throw invalid([`${file}: others than its owner may change it; \`chmod go-w ${file}\``]);
    if (size > FILE_BYTES_MAX) throw invalid([`${file}: it is larger than ${FILE_BYTES_MAX / 2 ** 20} MB`]);
    return readFileSync(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    if (error instanceof MillraceError) throw error;
    throw new MillraceError("FILE_UNREADABLE", `cannot read the access rules in ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function invalid(problems: readonly string[]): MillraceError {
  const shown = problems.slice(0, 20);
  return new MillraceError(
    "ACCESS_INVALID",
    shown.length === 1 ? shown.join() : `${problems.length} problems\n${shown.map((line) => `  ${line}`).join("\n")}`,
  );
}
