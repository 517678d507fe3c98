import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { z } from "zod";
import { controlApi } from "../../src/core/control-api.ts";
import { eventually } from "../support/eventually.ts";
import { openJournal } from "../support/journal.ts";
import { seeded } from "../support/random.ts";
import { temporaryFolder, TestOutbox } from "../integration/sync/support.ts";

/**
 * The invariant: whoever is killed while an outbox is uploaded, the gateway between sending and the acknowledgement or between that and the
 * deleting, or the control plane between its commit and the acknowledgement, in the end the store has every event once and the outbox is empty.
 */
const EVENTS = 40_000;
const CONTROL = new URL("control-child.ts", import.meta.url);
const GATEWAY = new URL("upload-child.ts", import.meta.url);
const addressesSchema = z.object({ http: z.string(), mqtt: z.string() });
type Addresses = z.infer<typeof addressesSchema>;

class Child implements AsyncDisposable {
  readonly line: Promise<string>;
  readonly #process: ChildProcess;

  constructor(script: URL, ...parameters: readonly string[]) {
    this.#process = spawn(process.execPath, [script.pathname, ...parameters], { stdio: ["ignore", "pipe", "inherit"] });
    this.line = once(createInterface(this.#process.stdout ?? process.stdin), "line").then(([line]) => z.string().parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}

async function controlOf(child: Child): Promise<Addresses> {
  return addressesSchema.parse(JSON.parse(await child.line));
}

async function stored(http: string): Promise<number> {
  return controlApi.stats.parse(await (await fetch(`${http}/v1/stats`)).json()).events;
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

/** Resolves as soon as the store has so many events: the moment of the kill. */
function reached(http: string, events: number): Promise<void> {
  return eventually(async () => expect(await stored(http)).toBeGreaterThanOrEqual(events), { timeout: 60_000, interval: 1 });
}

it("uploads every event once though both ends are killed in the middle of it", { timeout: 240_000 }, async () => {
  await using folder = await temporaryFolder();
  const random = seeded(7);
  {
    await using outbox = await TestOutbox.open(folder.path);
    for (let n = 0; n < EVENTS / 1_000; n++) await outbox.add(1_000);
  }
  const store = `${folder.path}/control`;
  for (let round = 1, before = 0; round <= 4; round++) {
    const control = new Child(CONTROL, store);
    const { http, mqtt } = await controlOf(control);
    await using gateway = new Child(GATEWAY, folder.path, mqtt);
    await gateway.line;
    await reached(http, Math.min(EVENTS, before + 1 + Math.floor(random() * 5_000)));
    // In turns, so that each end dies with the other going on.
    if (round % 2 === 0) await control[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    if (round % 2 === 1) before = await stored(http);
    await control[Symbol.asyncDispose]();
  }
  await using control = new Child(CONTROL, store);
  const { http, mqtt } = await controlOf(control);
  {
    await using gateway = new Child(GATEWAY, folder.path, mqtt);
    await gateway.line;
    await reached(http, EVENTS);
    // What is confirmed is deleted soon after; a kill before that would only have it sent once more.
    await eventually(async () => expect((await storedIds(http)).length).toBe(EVENTS));
  }
  const ids = await storedIds(http);
  expect(new Set(ids).size).toBe(EVENTS);
  expect(ids).toHaveLength(EVENTS);
  await using left = await openJournal(`${folder.path}/journal`);
  for (const { event } of await left.outbox.read(0, EVENTS)) expect(ids).toContain(event.id);
});
