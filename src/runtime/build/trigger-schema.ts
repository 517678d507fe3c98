import { z } from "zod";
import { MillraceError } from "../../core/errors.ts";
import { readRoute } from "../../core/http-route.ts";
import { readSchedule, zoneProblem } from "../../core/schedule.ts";
import { parseTopicFilter } from "../../core/topic.ts";
import { ANSWERS, CATCH_UPS, EVENT_PATTERN, type TriggerSpec } from "../../core/triggers.ts";
import { choice } from "./manifest-values.ts";

/** Why `text` is not a topic filter, or undefined when it is. */
function filterProblem(text: string): string | undefined {
  try {
    const filter = parseTopicFilter(text);
    return filter.levels[0]?.startsWith("$") === true
      ? `topic filter "${text}": topics that start with "$" belong to the broker`
      : undefined;
  } catch (error) {
    if (error instanceof MillraceError) return error.message;
    throw error;
  }
}

export const topicFilter = z
  .string({ error: 'must be a topic filter in quotes or plain text, such as "sensors/+site/+device/temp"' })
  .superRefine((text, ctx) => {
    const problem = filterProblem(text);
    if (problem !== undefined) ctx.addIssue({ code: "custom", message: problem, input: text });
  });

export const typePattern = z
  .string()
  .min(1)
  .max(200)
  .regex(EVENT_PATTERN, { error: 'must be an event type, with at most one "*", at its end' });

const schedule = z.string({ error: 'must be text such as "every 10s" or, in quotes, "*/5 * * * *"' }).superRefine((text, ctx) => {
  const read = readSchedule(text, "UTC");
  if ("problem" in read) ctx.addIssue({ code: "custom", message: read.problem, input: text });
});

const timezone = z.string({ error: 'must be a name of the IANA data base, such as "Europe/Rome"' }).superRefine((text, ctx) => {
  const problem = zoneProblem(text);
  if (problem !== undefined) ctx.addIssue({ code: "custom", message: problem, input: text });
});

/** What may wake a function; each trigger has one of these keys. */
const KINDS = ["mqtt", "schedule", "http", "event", "state"] as const;

/** Which of them a key belongs to. */
const OF = {
  durable: "mqtt",
  name: "schedule",
  timezone: "schedule",
  catchUp: "schedule",
  catchUpMax: "schedule",
  answer: "http",
} as const;

const route = z.string({ error: 'must be text such as "POST /celsius"' }).superRefine((text, ctx) => {
  const read = readRoute(text);
  if ("problem" in read) ctx.addIssue({ code: "custom", message: read.problem, input: text });
});

const shape = {
  mqtt: topicFilter.optional().meta({ description: "MQTT topic filter; `+name` is a wildcard with a name." }),
  durable: z.boolean({ error: "must be true or false" }).optional().meta({
    description:
      "Of `mqtt`, `true` unless said. `false` for telemetry that may be lost: acknowledged at once, never on disk, gone when the gateway stops or is behind.",
  }),
  schedule: schedule.optional().meta({
    description: "`every 10s` (100ms to 366d), or cron with five fields: minute, hour, day of the month, month, day of the week.",
    examples: ["every 10s", "*/5 * * * *"],
  }),
  http: route.optional().meta({
    description: "Method or methods and a path, on the gateway's HTTP below `/fn`; `:name` stands for a segment of it.",
    examples: ["POST /celsius", "GET,PUT /device/:id"],
  }),
  answer: choice(
    ANSWERS,
    "sync",
    "Of `http`, `sync` unless said. `sync`: the caller gets what the handler returns. `accepted`: 202 as soon as the request is in the journal.",
  )
    .unwrap()
    .optional(),
  event: typePattern.optional().meta({
    description: "Type of events that functions of this gateway emit; `*` at the end stands for any rest.",
    examples: ["com.example.alarm", "com.example.*"],
  }),
  state: z
    .string({ error: 'must be text such as "limits/*"' })
    .max(2_000)
    .superRefine((text, ctx) => {
      const problem = stateProblem(text);
      if (problem !== undefined) ctx.addIssue({ code: "custom", message: problem, input: text });
    })
    .optional()
    .meta({
      description:
        "`KEY/NAME` of values that this function keeps, or only `NAME` for any key; `*` at the end of either stands for any rest.",
      examples: ["limits/*"],
    }),
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, { error: "must be lower-case letters, digits and dashes, at most 63" })
    .optional()
    .meta({ description: "Of `schedule`, `default` unless said. Tells the schedules of a function apart; its ticks have it as subject." }),
  timezone: timezone
    .optional()
    .meta({ description: "Of `schedule`: time zone of its cron, by its IANA name; `UTC` unless said.", examples: ["Europe/Rome"] }),
  catchUp: choice(
    CATCH_UPS,
    "last",
    "Of `schedule`, `last` unless said: what becomes of the times at which nothing ran. `none`: they are left out, `last`: one tick for all, " +
      "`all`: a tick for each.",
  )
    .unwrap()
    .optional(),
  catchUpMax: z
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .meta({ description: "Of `catchUp: all`, 100 unless said: the newest so many ticks. 1 to 1000." }),
};

const NAME_CHARS_MAX = 1_024;

/** Why this is no pattern of keys and names in the state, or undefined when it is. */
function stateProblem(text: string): string | undefined {
  const slash = text.lastIndexOf("/");
  const [key, name] = [text.slice(0, Math.max(0, slash)), text.slice(slash + 1)];
  if (text === "" || slash === 0 || name === "") return `"${text}" is not KEY/NAME, or only NAME for any key; try "limits/*"`;
  const starred = [key, name].find((pattern) => pattern.slice(0, -1).includes("*"));
  if (starred !== undefined) return `"${starred}" has a "*" that is not at its end`;
  return name.length > NAME_CHARS_MAX ? `a name in the state has at most ${NAME_CHARS_MAX} characters` : undefined;
}

const triggerSchema = z.strictObject(shape).superRefine((trigger, ctx) => {
  const complain = (message: string, ...path: string[]): void => {
    ctx.addIssue({ code: "custom", message, path, input: trigger });
  };
  const [kind, second] = KINDS.filter((each) => trigger[each] !== undefined);
  if (kind === undefined) {
    const message = `needs one of ${KINDS.join(", ")}`;
    ctx.addIssue({ code: "custom", message, params: { missing: true }, input: trigger });
    return;
  }
  if (second !== undefined) complain(`stands beside ${kind}; each of them is a trigger of its own`, second);
  for (const [key, of] of Object.entries(OF)) {
    if (of !== kind && of !== second && Reflect.get(trigger, key) !== undefined) complain(`belongs to ${of}, not to ${kind}`, key);
  }
  if (trigger.catchUpMax !== undefined && trigger.catchUp !== "all") complain("counts only with catchUp: all", "catchUpMax");
});

export const triggersSchema = z
  .array(triggerSchema)
  .min(1, { error: "at least one trigger is needed" })
  .max(32, { error: "at most 32 triggers are allowed" })
  .meta({
    description: "What wakes the function. A message that several triggers match is handled once, with the params of the first.",
    examples: [[{ mqtt: "sensors/+site/+device/temp" }]],
  });

export type TriggerFile = z.infer<typeof triggerSchema>;

/** As the bundle has it: with the defaults. */
export function normalizeTrigger({ mqtt, durable = true, schedule: text = "", ...trigger }: TriggerFile): TriggerSpec {
  if (mqtt !== undefined) return { mqtt, durable };
  if (trigger.http !== undefined) return { http: trigger.http, answer: trigger.answer ?? "sync" };
  if (trigger.event !== undefined) return { event: trigger.event };
  if (trigger.state !== undefined) return { state: trigger.state };
  const { name = "default", timezone: zone = "UTC", catchUp = "last", catchUpMax = 100 } = trigger;
  return { schedule: text, name, timezone: zone, catchUp, catchUpMax };
}
