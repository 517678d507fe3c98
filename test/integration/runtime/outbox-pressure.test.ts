import { expect, it } from "vitest";
import { decode } from "cbor-x";
import { DEFAULT_RULE } from "../../../src/core/outbox-rules.ts";
import { laneOfRule } from "../../../src/core/outbox-lanes.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import type { OutboxEvent } from "../../../src/core/event.ts";

const KB = 1024;

it("makes functions wait that emit where the outbox is full, and no others, until there is room", async () => {
  await using core = await Core.temporary({ outboxLaneBytesMax: 100 * KB });
  const handler = "ctx.emit(event.params.kind, 'x'.repeat(10_000), { subject: event.text });";
  const outbox = [{ types: ["alarm"], priority: 9, overflow: "block" as const }];
  await core.deploy(
    functionOf({ name: "telemetry", triggers: ["telemetry/+kind"], handler, outbox }),
    functionOf({ name: "alarms", triggers: ["alarms/+kind"], handler, outbox }),
    functionOf({ name: "silent", triggers: ["telemetry/+kind"], handler: "" }),
  );
  for (let n = 0; n < 11; n++) await core.send("telemetry/reading", `${n}`);
  await core.drained();
  for (let n = 11; n < 30; n++) await core.send("telemetry/reading", `${n}`);
  await core.send("alarms/alarm", "fire");
  await eventually(() => expect([core.stats("silent").handled, core.stats("alarms").handled]).toEqual([30, 1]));
  expect(core.stats("telemetry")).toMatchObject({ handled: 11, backlog: 19 });

  // The cloud takes everything, as often as it takes until nothing waits any more.
  const subjects = new Set<string>();
  const { outbox: waiting } = core.journal;
  await eventually(async () => {
    const rows = await waiting.rows(laneOfRule(DEFAULT_RULE), 0, { events: 100, bytes: 1_000 * KB });
    for (const { event } of rows) subjects.add((decode(event) as OutboxEvent).subject);
    await waiting.remove(rows);
    expect(core.stats("telemetry").backlog).toBe(0);
  });
  await core.drained();
  for (const { event } of await waiting.read(0, 100)) subjects.add(event.subject);
  expect(subjects).toEqual(new Set(["fire", ...Array.from({ length: 30 }, (_, n) => `${n}`)]));
  expect(core.drops.all()).toEqual([]);
});
