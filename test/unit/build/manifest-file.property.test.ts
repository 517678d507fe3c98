import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { MillraceError } from "../../../src/core/errors.ts";
import { manifestSchema } from "../../../src/core/manifest.ts";
import { parseManifest } from "../../../src/runtime/build/manifest-file.ts";

const FILE = "functions/a/function.yaml";
const MISTAKE = /^functions\/a\/function\.yaml:[1-9]\d*: ./;

const quantity = fc.oneof(
  fc.constantFrom("50ms", "5s", "64MB", "1KB", "1s..60s", "60s..1s", "5 s"),
  fc.string(),
  fc.double(),
  fc.constant(null),
);
const filter = fc.oneof(fc.constantFrom("a/+b", "a/#", "#", "a#", "$SYS/a", "a/+b/+b", ""), fc.string());
const schedule = fc.oneof(fc.constantFrom("every 10s", "* * * * *", "0 0 30 2 *"), fc.string());
const scalar = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null));
const record = <T>(model: Record<string, fc.Arbitrary<T>>) => fc.record(model, { requiredKeys: [] });
const manifest = fc.record(
  {
    name: fc.oneof(fc.constantFrom("a", "a-b", "A"), scalar),
    api: fc.constantFrom<unknown>(1, 1, 1, 2, "1", null),
    description: scalar,
    entry: fc.oneof(fc.constantFrom("index.ts", "a/b.mjs", "../a.ts"), scalar),
    triggers: fc.oneof(
      fc.array(
        record<unknown>({
          mqtt: filter,
          schedule,
          http: fc.oneof(fc.constantFrom("GET /a/:b", "POST /"), scalar),
          answer: scalar,
          event: scalar,
          state: scalar,
          name: scalar,
          timezone: scalar,
          catchUp: scalar,
        }),
        { maxLength: 4 },
      ),
      scalar,
    ),
    key: fc.oneof(fc.constantFrom("b", "topic", "data.id"), scalar),
    order: fc.oneof(fc.constantFrom("strict", "relaxed"), scalar),
    idempotency: fc.oneof(
      record<unknown>({ key: fc.oneof(fc.constantFrom("data.id", "property:a"), scalar), window: quantity, entries: scalar }),
      scalar,
    ),
    overflow: fc.oneof(fc.constantFrom("block", "keep-latest"), scalar),
    concurrency: fc.oneof(fc.integer({ min: -1, max: 70 }), scalar),
    limits: fc.oneof(record({ cpu: quantity, wall: quantity, memory: quantity, output: quantity, state: quantity }), scalar),
    retry: fc.oneof(record<unknown>({ attempts: scalar, backoff: quantity, maxAge: quantity }), scalar),
    permissions: fc.oneof(record<unknown>({ publish: fc.array(filter), emit: fc.array(scalar), http: scalar }), scalar),
    env: fc.oneof(fc.dictionary(fc.string(), scalar), scalar),
    warm: scalar,
  },
  { requiredKeys: [] },
);

const punctuation = fc.string({ unit: fc.constantFrom(..."ab:-+#[]{}&*!|>'\"? \n\t,%@$0.".split("")) });

const WHOLE = `name: a
api: 1
triggers:
  - mqtt: sensors/+site/+device/temp
limits: {cpu: 1s}
retry:
  backoff: 1s..2s
permissions:
  publish: ["a/#"]
env: {A: "1"}
`;
/** A good manifest with a piece of its text cut out and another put in. */
const damaged = fc
  .tuple(fc.nat(WHOLE.length), fc.nat(10), fc.string({ maxLength: 5 }))
  .map(([at, length, inserted]) => WHOLE.slice(0, at) + inserted + WHOLE.slice(at + length));

/** What becomes of a text; anything but a manifest that the runtime accepts and a list of mistakes is a failure of its own. */
function outcomeOf(text: string): "manifest" | "mistakes" | "something else" {
  try {
    return manifestSchema.safeParse(parseManifest(text, FILE)).success ? "manifest" : "something else";
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "MANIFEST_INVALID") throw error;
    return MISTAKE.test(error.message) ? "mistakes" : "something else";
  }
}

describe("whatever a manifest says", () => {
  it.each<[string, fc.Arbitrary<string>]>([
    ["any text", fc.string({ maxLength: 300 })],
    ["YAML's own characters", punctuation],
    ["any value", fc.anything({ maxDepth: 4 }).map((value) => JSON.stringify(value) ?? "")],
    ["nearly a manifest", manifest.map((value) => stringify(value))],
    ["a damaged manifest", damaged],
  ])("becomes a manifest or a list of mistakes: %s", (_what, texts) => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(texts, (text) => {
        outcomes.add(outcomeOf(text));
        return !outcomes.has("something else");
      }),
      { numRuns: 500 },
    );
    expect(outcomes).toContain("mistakes");
  });

  it("becomes either, so the above says something", () => {
    expect(new Set(fc.sample(damaged, 300).map(outcomeOf))).toEqual(new Set(["manifest", "mistakes"]));
  });
});
