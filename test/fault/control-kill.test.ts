import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { z } from "zod";
import { startControlPlane } from "../../src/control-plane.ts";
import { controlApi } from "../../src/core/control-api.ts";
import type { OutboxEvent } from "../../src/core/event.ts";
import { eventAckSchema } from "../../src/core/link-messages.ts";
import { silentLogger } from "../../src/core/log.ts";
import { RawGateway, sampleEvent, temporaryFolder } from "../integration/control/support.ts";

/**
 * An acknowledged event is deleted on its gateway. So whenever the control plane dies, what it acknowledged is in the store, once; what it
 * did not acknowledge may be there or not, and after it was sent again it is there once too.
 */
const KILL_AFTER_ACKS = [1, 7, 20];
const BATCH_EVENTS = 500;
const AHEAD = 6;

const addressesSchema = z.object({ http: z.string(), mqtt: z.string() });

async function startChild(data: string): Promise<{ child: ChildProcess; addresses: z.infer<typeof addressesSchema> }> {
  const child = spawn(process.execPath, [new URL("control-child.ts", import.meta.url).pathname, data], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(createInterface(child.stdout ?? process.stdin), "line");
  return { child, addresses: addressesSchema.parse(JSON.parse(z.string().parse(line))) };
}

async function storedIds(http: string): Promise<string[]> {
  const ids: string[] = [];
  for (let next: number | null = 0; next !== null;) {
    const page = controlApi.events.parse(await (await fetch(`${http}/v1/events?limit=5000&after=${next}`)).json());
    ids.push(...page.events.map(({ id }) => id));
    next = page.next;
  }
  return ids;
}

it("keeps every acknowledged event exactly once through kill -9 in the middle of ingest", { timeout: 240_000 }, async () => {
  await using folder = await temporaryFolder();
  const acked = new Set<string>();
  const sent = new Map<number, OutboxEvent[]>();
  let batches = 0;
  const batch = (): OutboxEvent[] => {
    const events = Array.from({ length: BATCH_EVENTS }, (_, n) => sampleEvent("gw", (batches + 1) * BATCH_EVENTS + n));
    sent.set(++batches, events);
    return events;
  };

  for (const acks of KILL_AFTER_ACKS) {
    const { child, addresses } = await startChild(folder.path);
    const exited = once(child, "exit");
    const at = { host: "127.0.0.1", port: 0 };
    const second = startControlPlane({ data: folder.path, http: at, mqtt: at }, { logger: silentLogger });
    await expect(second).rejects.toMatchObject({ code: "DATA_LOCKED" });
    const gateway = await RawGateway.connect(addresses.mqtt, "gw");
    gateway.client.on("error", () => undefined);
    for (let n = 0; n < AHEAD; n++) await gateway.send("events", { events: batch(), batch: batches });
    for (let n = 0; n < acks; n++) {
      const ack = await gateway.next("events/ack", eventAckSchema);
      for (const { id } of sent.get(ack.batch) ?? []) acked.add(id);
      await gateway.send("events", { events: batch(), batch: batches });
    }
    child.kill("SIGKILL");
    await exited;
    await gateway[Symbol.asyncDispose]();
  }

  const { child, addresses } = await startChild(folder.path);
  const survived = await storedIds(addresses.http);
  expect(new Set(survived).size).toBe(survived.length);
  expect([...acked].filter((id) => !survived.includes(id))).toEqual([]);
  expect(acked.size).toBe(BATCH_EVENTS * KILL_AFTER_ACKS.reduce((sum, acks) => sum + acks, 0));

  await using gateway = await RawGateway.connect(addresses.mqtt, "gw");
  for (const [number, events] of sent) await gateway.upload(number, events);
  const all = await storedIds(addresses.http);
  expect(all).toHaveLength(batches * BATCH_EVENTS);
  expect(new Set(all).size).toBe(all.length);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
});
