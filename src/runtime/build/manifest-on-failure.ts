import { z } from "zod";
import { compilePermissions } from "../../core/manifest.ts";
import { parseTopicFilter, topicProblem, TopicTrie } from "../../core/topic.ts";
import type { Path } from "./yaml-source.ts";

const TYPE = /^[A-Za-z0-9_.:/-]{1,200}$/;

export const onFailureSchema = z
  .strictObject({
    publish: z
      .string({ error: 'must be a topic, such as "errors/celsius"' })
      .superRefine((topic, ctx) => {
        const problem = topicProblem(topic);
        if (problem !== undefined) ctx.addIssue({ code: "custom", message: `cannot publish to "${topic}": ${problem}`, input: topic });
      })
      .optional()
      .meta({ description: "A topic, without wildcards; `permissions.publish` has to allow it.", examples: ["errors/celsius"] }),
    emit: z
      .string({ error: 'must be an event type, such as "com.example.failed"' })
      .regex(TYPE, { error: "must be an event type of 1 to 200 letters, digits and _ . : / -" })
      .optional()
      .meta({ description: "An event type; `permissions.emit` has to allow it.", examples: ["com.example.failed"] }),
  })
  .refine(({ publish, emit }) => publish !== undefined || emit !== undefined, { error: 'needs "publish", "emit" or both' })
  .meta({
    description:
      "What a message that is given up brings about beside its dead letter: a message, an event or both, with the error and the payload.",
    examples: [{ publish: "errors/celsius" }],
  });

interface File {
  readonly onFailure?: z.infer<typeof onFailureSchema> | undefined;
  readonly triggers: readonly { readonly mqtt?: string | undefined; readonly event?: string | undefined }[];
  readonly permissions: Parameters<typeof compilePermissions>[0];
}

/** What concerns `onFailure` together with the rest of the manifest. */
export function onFailureMistakes({ onFailure = {}, permissions, triggers }: File): { readonly path: Path; readonly problem: string }[] {
  const mistakes: { path: Path; problem: string }[] = [];
  const allowed = compilePermissions(permissions);
  const { publish, emit } = onFailure;
  if (publish !== undefined) {
    const path = ["onFailure", "publish"];
    if (!allowed.mayPublish(publish)) mistakes.push({ path, problem: `permissions.publish does not allow "${publish}"; add it there` });
    const own = new TopicTrie<string>();
    for (const { mqtt } of triggers) if (mqtt !== undefined) own.add(parseTopicFilter(mqtt), mqtt);
    const [trigger] = own.match(publish);
    if (trigger !== undefined) {
      mistakes.push({ path, problem: `the function's own trigger "${trigger}" matches it, so that a failure would wake it again` });
    }
  }
  if (emit !== undefined) {
    const path = ["onFailure", "emit"];
    if (!allowed.mayEmit(emit)) mistakes.push({ path, problem: `permissions.emit does not allow "${emit}"; add it there` });
    const own = triggers.find(({ event }) => event !== undefined && meets(event, emit));
    if (own !== undefined) {
      mistakes.push({ path, problem: `the function's own trigger "${own.event}" matches it, so that a failure would wake it again` });
    }
  }
  return mistakes;
}

function meets(pattern: string, type: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
