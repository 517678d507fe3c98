import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Arena } from "../../hostile/attack.ts";
import { SNIPPETS } from "../../hostile/snippets.ts";
import { judge } from "../../hostile/verdict.ts";

/** One of each class; `npm run hostile` has them all, and takes times. */
const SELECTION = [
  "loop-labels",
  "microtask-flood",
  "regex-nested",
  "memory-arrays",
  "memory-split",
  "stack-recursion",
  "waits-for-ever",
  "throws-revoked-proxy",
  "pollutes-promise-then",
  "forges-lengths",
  "forges-its-output-limit",
  "forges-its-value-limit",
  "forges-questions-of-many-keys",
  "late-effects-into-the-next-message",
  "batch-fails-with-ids-of-others",
  "answers-with-forged-headers",
  "escape-constructor",
  "stores-large-value",
  "publishes-for-ever",
  "wakes-itself",
  "fetches-metadata-in-disguise",
  "fetches-without-waiting",
  "load-loops",
  "migrate-that-kills-its-host",
  "web-url-of-many-dots",
  "tampers-with-characters-that-grow",
  "emits-as-many-as-it-may",
  "map-of-a-megabyte",
  "odd-load-that-throws-megabytes",
];

describe("a gateway with a hostile function beside a well-behaved one", () => {
  let arena: Arena;
  beforeAll(async () => void (arena = await Arena.open()), 60_000);
  afterAll(() => arena[Symbol.asyncDispose]());

  it.each(SELECTION)(
    "goes on while %s is at work, handles every message of the neighbour once, and says what is wrong",
    { timeout: 120_000 },
    async (name) => {
      const snippet = SNIPPETS.find((one) => one.name === name);
      if (snippet === undefined) throw new Error(`there is no snippet "${name}"`);
      expect(judge(await arena.attack(snippet, 0)).problems).toEqual([]);
    },
  );
});
