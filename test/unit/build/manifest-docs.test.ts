import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { manifestJsonSchema, manifestReference } from "../../../src/runtime/build/manifest-docs.ts";

const ROOT = join(import.meta.dirname, "../../..");
const SCHEMA = join(ROOT, "function.schema.json");
const REFERENCE = join(ROOT, "docs/reference/manifest.md");

async function update(): Promise<void> {
  await writeFile(SCHEMA, `${JSON.stringify(manifestJsonSchema(), undefined, 2)}\n`);
  await writeFile(REFERENCE, manifestReference());
}

describe("what is written down about manifests", async () => {
  if (process.env["UPDATE_DOCS"] === "1") await update();

  it("function.schema.json is what the parser's own schema says", async () => {
    // Compared as values: the formatter may break the lines of the file differently.
    expect(JSON.parse(await readFile(SCHEMA, "utf8"))).toEqual(manifestJsonSchema());
  });

  it("docs/reference/manifest.md is what the parser's own schema says", async () => {
    expect(await readFile(REFERENCE, "utf8")).toBe(manifestReference());
  });

  it("the reference has a row for each key that a manifest may have", () => {
    const rows = [...manifestReference().matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);
    const kinds = ["mqtt", "durable", "schedule", "http", "answer", "event", "state", "name", "timezone", "catchUp", "catchUpMax"].map(
      (key) => `triggers[].${key}`,
    );
    const top = ["name", "api", "description", "entry", "triggers", ...kinds, "key", "order"];
    const limits = [
      "limits",
      "limits.cpu",
      "limits.wall",
      "limits.init",
      "limits.memory",
      "limits.output",
      "limits.state",
      "limits.fetch",
      "limits.stateValue",
    ];
    const idempotency = ["idempotency", "idempotency.key", "idempotency.window", "idempotency.entries"];
    const retry = ["retry", "retry.attempts", "retry.backoff", "retry.maxAge"];
    const outbox = ["outbox", "outbox[].types", "outbox[].priority", "outbox[].ttl", "outbox[].overflow"];
    expect(rows).toEqual([
      ...top,
      "batch",
      "batch.size",
      "batch.window",
      ...idempotency,
      "overflow",
      ...outbox,
      "state",
      "state.version",
      "concurrency",
      "warm",
      "idle",
      "isolation",
      ...limits,
      ...retry,
      "onFailure",
      "onFailure.publish",
      "onFailure.emit",
      "permissions",
      "permissions.publish",
      "permissions.emit",
      "permissions.http",
      "permissions.secrets",
      "env",
    ]);
  });
});
