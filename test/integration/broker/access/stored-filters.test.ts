import { readdir, readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import type { Broker } from "../../../../src/broker/broker.ts";
import { LogSync } from "../../../../src/broker/log-sync.ts";
import { accessOf } from "../../../support/access.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";
import { type BrokerProcess, startBrokerProcess } from "../../../fault/broker-process.ts";

/**
 * The invariant: a filter that is refused is never written, at no time of a SUBSCRIBE, so that no kill can leave it in the session; and it brings nothing.
 */
const RULES = `
rules:
  - {who: {client: c}, allow: {subscribe: "open/#"}}
  - {who: {client: publisher}, allow: {publish: "#"}}
`;

const KEPT = { id: "c", version: 5, clean: false } as const;

let folder: TempFolder;

beforeEach(async () => {
  folder = await TempFolder.make();
  await setRules(RULES);
});

afterEach(async () => {
  vi.restoreAllMocks();
  await folder[Symbol.asyncDispose]();
});

async function setRules(text: string): Promise<void> {
  await writeFile(folder.join("access.yaml"), text, { mode: 0o600 });
}

/** Whether any byte that was ever written of the sessions says so; the log of the database has what was overwritten or deleted since, too. */
async function isWritten(text: string): Promise<boolean> {
  const names = await readdir(folder.join("sessions"));
  const files = await Promise.all(names.map((name) => readFile(folder.join("sessions", name))));
  return files.some((bytes) => bytes.includes(text));
}

function subscribe(client: RawClient, messageId: number, ...topics: readonly string[]): void {
  client.send({ cmd: "subscribe", messageId, subscriptions: topics.map((topic) => ({ topic, qos: 1 })) });
}

async function publish(address: string, ...topics: readonly string[]): Promise<void> {
  await using publisher = await connectClient(address, { clientId: "publisher" });
  for (const topic of topics) await publisher.mqtt.publishAsync(topic, "x", { qos: 1 });
}

async function heardAfterReturn(address: string): Promise<readonly string[]> {
  await using client = await connectClient(address, { clientId: "c", clean: false, protocolVersion: 5 });
  await eventually(() => expect(client.heard).toContain("open/last=x"));
  return client.heard;
}

it.each([
  ["first", ["closed/a", "$share/g/closed/b", "open/a", "open/last", "$share/g/open/c"], [0x87, 0x87, 1, 1, 1]],
  ["last", ["open/a", "open/last", "$share/g/open/c", "closed/a", "$share/g/closed/b"], [1, 1, 1, 0x87, 0x87]],
])(
  "filters that are refused, %s in their SUBSCRIBE, are never on disk and bring nothing, also after a kill",
  async (_, topics, granted) => {
    const killed: BrokerProcess = await startBrokerProcess(folder.path);
    {
      await using client = await RawClient.connect(killed.address, KEPT);
      subscribe(client, 1, ...topics);
      expect(await client.next("suback")).toMatchObject({ granted });
      await publish(killed.address, "closed/a", "closed/b", "open/a");
      await killed.kill();
    }
    expect(await isWritten("open/a")).toBe(true);
    expect(await isWritten("closed/")).toBe(false);
    await using access = accessOf(folder.path);
    await using broker = await startBroker(new TestIntake(), folder.path, { access });
    await publish(broker.address, "closed/a", "closed/b", "open/c", "open/last");
    expect((await heardAfterReturn(broker.address)).toSorted()).toEqual(["open/a=x", "open/c=x", "open/last=x"]);
  },
);

it("of a SUBSCRIBE that is never acknowledged a kill leaves nothing that is refused", async () => {
  const killed: BrokerProcess = await startBrokerProcess(folder.path);
  await using client = await RawClient.connect(killed.address, KEPT);
  for (let id = 1; id <= 50; id++) subscribe(client, id, `open/${id}`, `closed/${id}`);
  await client.next("suback");
  await killed.kill();
  expect(await isWritten("open/1")).toBe(true);
  expect(await isWritten("closed/")).toBe(false);
});

it("of a filter that comes twice the last one is stored, and one that is taken back at once is not", async () => {
  await using access = accessOf(folder.path);
  let broker: Broker = await startBroker(new TestIntake(), folder.path, { access });
  {
    await using client = await RawClient.connect(broker.address, KEPT);
    for (let id = 1; id < 100; id += 3) {
      const subscriptions = ([1, 0] as const).map((qos) => ({ topic: `open/twice${id}`, qos }));
      client.send({ cmd: "subscribe", messageId: id, subscriptions });
      subscribe(client, id + 1, `open/back${id}`);
      client.send({ cmd: "unsubscribe", messageId: id + 2, unsubscriptions: [`open/back${id}`] });
    }
    subscribe(client, 100, "open/last");
    await eventually(() => expect(client.received.filter(({ cmd }) => cmd.endsWith("suback"))).toHaveLength(100));
  }
  await broker.close();
  broker = await startBroker(new TestIntake(), folder.path, { access });
  await publish(broker.address, "open/twice1", "open/back1", "open/twice97", "open/back97", "open/last");
  expect(await heardAfterReturn(broker.address)).toEqual(["open/last=x"]);
  await broker.close();
});

it("a filter that the rules lose while it is being stored is taken out again before the connection ends", async () => {
  await using access: Access = accessOf(folder.path);
  await using broker = await startBroker(new TestIntake(), folder.path, { access });
  await using client = await RawClient.connect(broker.address, KEPT);
  const storing = Promise.withResolvers<void>();
  const stored = Promise.withResolvers<void>();
  vi.spyOn(LogSync.prototype, "now").mockImplementationOnce(() => (storing.resolve(), stored.promise));
  subscribe(client, 1, "open/a");
  await storing.promise;
  await setRules(RULES.replace("open/#", "open/last"));
  access.look();
  stored.resolve();
  await client.ended();
  expect(client.received.filter(({ cmd }) => cmd === "suback")).toEqual([]);
  await publish(broker.address, "open/a");
  expect(broker.stored.queuedMessages).toBe(0);
});
