import { z } from "zod";
import { manifestFileSchema, NOT_YET } from "./manifest-schema.ts";

/** What editors complete and check function.yaml with: the content of function.schema.json, JSON Schema draft 7. */
export function manifestJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(manifestFileSchema, { io: "input", target: "draft-7" });
}

const described = z.looseObject({
  description: z.string().default(""),
  default: z.unknown().optional(),
  type: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
  required: z.array(z.string()).default([]),
});

/** The content of docs/reference/manifest.md. */
export function manifestReference(): string {
  const rows = rowsOf(manifestJsonSchema(), "");
  const notYet = Object.entries(NOT_YET).flatMap(([place, keys]) => keys.map((key) => `\`${place === "" ? key : `${place}.${key}`}\``));
  return `# The manifest: function.yaml

Made from the manifest's schema; do not edit it by hand. \`UPDATE_DOCS=1 npm test -- manifest-docs\` writes it.

Editors check and complete the file when its first line is
\`# yaml-language-server: $schema=../../function.schema.json\`.

Durations are a number and \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`; sizes a number and \`B\`, \`KB\`, \`MB\` or \`GB\`, in powers of 1,024.
\`millrace build\` and \`millrace publish\` report every mistake of a manifest at once, each as \`file:line: key: what is wrong\`, and then change nothing.

| key | default | meaning |
|---|---|---|
${rows.join("\n")}

Not supported by this version of Millrace, and refused: ${notYet.join(", ")}.

Filters follow MQTT 5, section 4.7. A filter that starts with \`$\` is refused: those topics belong to the broker.
A function that publishes to a topic that one of its own triggers matches wakes itself; the number of such hops is limited (\`LIMIT_HOPS\`).
`;
}

function rowsOf(schema: unknown, path: string): string[] {
  const { properties = {}, required } = described.parse(schema);
  return Object.entries(properties).flatMap(([key, inner]) => {
    const { description, default: preset, type, items, properties: below } = described.parse(inner);
    const at = path === "" ? key : `${path}.${key}`;
    const row = `| \`${at}\` | ${defaultText(preset, required.includes(key))} | ${description.replaceAll("|", String.raw`\|`)} |`;
    if (below !== undefined) return [row, ...rowsOf(inner, at)];
    return type === "array" ? [row, ...rowsOf(items, `${at}[]`)] : [row];
  });
}

function defaultText(preset: unknown, required: boolean): string {
  if (required) return "required";
  if (preset === "" || preset === undefined) return "";
  if (typeof preset === "string") return `\`${preset}\``;
  return typeof preset === "object" && preset !== null && !Array.isArray(preset) ? "" : `\`${JSON.stringify(preset)}\``;
}
