import { join } from "node:path";
import { z } from "zod";
import type { ControlClient } from "../../src/cli/client/control-client.ts";
import { EVENTS_LIMIT } from "../../src/core/control-api.ts";
import { Journal } from "../../src/journal/journal.ts";
import type { FunctionName } from "./functions.ts";

const tallySchema = z.object({
  count: z.int(),
  ranges: z.array(z.tuple([z.int(), z.int()])),
  doubled: z.array(z.int()),
  disordered: z.array(z.int()),
});
const eventSchema = z.object({ n: z.int(), count: z.int() });
export type Tally = z.infer<typeof tallySchema>;

/** What is left of a run, read when everything has come to rest. */
export interface Outcome {
  /** State of a function, by key. */
  readonly state: (name: FunctionName, key: string) => Tally | undefined;
  /** Events of a function, by key, in the order in which the cloud stored them. */
  readonly events: (name: FunctionName, key: string) => readonly z.infer<typeof eventSchema>[];
  readonly eventCount: number;
  readonly deadLetters: readonly string[];
  readonly outboxPending: number;
}

const at = (name: string, key: string): string => `${name}/${key}`;

export async function readEvents(api: ControlClient): Promise<Map<string, z.infer<typeof eventSchema>[]>> {
  const found = new Map<string, z.infer<typeof eventSchema>[]>();
  for (let after: number | null = 0; after !== null;) {
    const page = await api.events({ after, limit: EVENTS_LIMIT.max });
    for (const { function: name, subject, data } of page.events) {
      const place = at(name, subject);
      const list = found.get(place) ?? [];
      list.push(eventSchema.parse(data));
      found.set(place, list);
    }
    after = page.next;
  }
  return found;
}

/** The gateway must not run any more. */
export async function readOutcome(
  data: string,
  events: Awaited<ReturnType<typeof readEvents>>,
  places: readonly { readonly name: FunctionName; readonly key: string }[],
): Promise<Outcome> {
  await using journal = await Journal.open({ location: join(data, "journal"), batchMax: 1 });
  const states = new Map<string, Tally>();
  for (const { name, key } of places) {
    const stored = (await journal.loadState(name, key)).find((one) => one.name === "tally");
    if (stored !== undefined) states.set(at(name, key), tallySchema.parse(JSON.parse(stored.value.toString())));
  }
  const dead = await journal.deadLetters(undefined, 1_000);
  return {
    state: (name, key) => states.get(at(name, key)),
    events: (name, key) => events.get(at(name, key)) ?? [],
    eventCount: [...events.values()].reduce((sum, list) => sum + list.length, 0),
    deadLetters: dead.map(({ function: name, seq, topic, code, error }) => `${name} ${topic} seq ${seq}: ${code} ${error}`),
    outboxPending: journal.outbox.pending,
  };
}
