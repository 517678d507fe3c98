import * as fc from "fast-check";
import { expect, it } from "vitest";
import { RouteTable, type Trigger } from "../../../src/runtime/route.ts";
import { parseTopicFilter } from "../../../src/core/topic.ts";

/** MQTT 5, 4.7, word for word and slow. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const [wanted, levels] = [filter.split("/"), topic.split("/")];
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (!level.startsWith("+") && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

const level = fc.constantFrom("", "a", "b", "ä", "__proto__");
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"));
/** With the wildcard `+k`, which is the key, somewhere in it or nowhere. */
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 3 }), fc.constantFrom("a", "+", "#"), fc.nat({ max: 3 }))
  .map(([levels, last, at]) => [...levels, last].map((each, index) => (index === at && each !== "#" ? "+k" : each)).join("/"));
const owners = fc.array(
  fc.record({ filters: fc.array(filters, { minLength: 1, maxLength: 3 }), durable: fc.boolean(), keyed: fc.boolean() }),
  { maxLength: 6 },
);

interface Owner {
  readonly filters: readonly string[];
  readonly durable: boolean;
  readonly keyed: boolean;
}

function tableOf(all: readonly Owner[]): RouteTable<Owner> {
  const triggers = all.flatMap((owner) =>
    owner.filters.map((source, index): Trigger<Owner> => {
      return { owner, index, filter: parseTopicFilter(source), durable: owner.durable, key: owner.keyed ? "k" : undefined };
    }),
  );
  return new RouteTable(triggers);
}

/** What one owner makes of a topic, looked up filter by filter. */
function expected(owner: Owner, topic: string): { owner: Owner; index: number; key: string; durable: boolean } | undefined {
  const index = owner.filters.findIndex((filter) => matches(filter, topic));
  if (index === -1) return undefined;
  const at = owner.filters[index]?.split("/").indexOf("+k") ?? -1;
  const value = at === -1 || !owner.keyed ? "" : (topic.split("/")[at] ?? "");
  return { owner, index, key: value === "" ? topic : value, durable: owner.durable };
}

it("wakes each function once, through the first of its triggers that matches, under its key", () => {
  fc.assert(
    fc.property(owners, fc.array(topics, { minLength: 1, maxLength: 5 }), (all, asked) => {
      const table = tableOf(all);
      // The second time comes from what the table remembers.
      for (const topic of [...asked, ...asked]) {
        const routes = table.match(topic).map(({ owner, index, key, durable }) => ({ owner, index, key, durable }));
        const due = all.map((owner) => expected(owner, topic)).filter((route) => route !== undefined);
        expect(routes).toHaveLength(due.length);
        expect(routes).toEqual(expect.arrayContaining(due));
        const wake = due.length === 0 ? "none" : due.some(({ durable }) => durable) ? "durable" : "volatile";
        expect(table.wakes(topic)).toBe(wake);
      }
    }),
    { numRuns: 500 },
  );
});
