import { readFile, writeFile } from "node:fs/promises";
import { ClassicLevel } from "classic-level";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import { codec } from "../../../src/broker/codec.ts";
import { accessOf } from "../../support/access.ts";
import { connectClient, RawClient, startBroker, type TestClient, TestIntake } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const WILL = { topic: "wills", payload: Buffer.from("gone"), qos: 1, retain: false } as const;

let folder: TempFolder;
let broker: Broker;

beforeEach(async () => {
  folder = await TempFolder.make();
  broker = await startBroker(new TestIntake(), folder.path);
});

afterEach(async () => {
  await broker.close();
  await folder[Symbol.asyncDispose]();
});

async function watcher(): Promise<TestClient> {
  const client = await connectClient(broker.address, { clientId: "watcher", clean: false });
  await client.mqtt.subscribeAsync("#", { qos: 1 });
  return client;
}

/** Keys of the wills that are stored, while the broker is closed. */
async function storedWills(change: (database: ClassicLevel<string, Buffer>) => Promise<void> = async () => undefined): Promise<string[]> {
  const database = new ClassicLevel<string, Buffer>(folder.join("sessions"), { valueEncoding: "buffer" });
  await change(database);
  const keys = await database.keys({ gte: "will:", lt: "will;" }).all();
  await database.close();
  return keys;
}

it("of a client that is cut off because the broker closes is published after the next start", async () => {
  await (await watcher())[Symbol.asyncDispose]();
  await using client = await RawClient.connect(broker.address, { id: "c:1", will: WILL });
  await broker.close();
  await client.ended();
  expect(await storedWills()).toHaveLength(1);
  broker = await startBroker(new TestIntake(), folder.path);
  await using back = await watcher();
  await eventually(() => expect(back.heard).toEqual(["wills=gone"]));
  await broker.close();
  expect(await storedWills()).toEqual([]);
});

it("that an earlier version has left is deleted and not published, because it does not say who it is from", async () => {
  await (await watcher())[Symbol.asyncDispose]();
  await broker.close();
  const left = { ...WILL, brokerId: "g", clientId: "c" };
  expect(await storedWills((database) => database.put("will:c", codec.encode(left)))).toEqual(["will:c"]);
  broker = await startBroker(new TestIntake(), folder.path);
  await using back = await watcher();
  await back.mqtt.publishAsync("last", "1", { qos: 1 });
  await eventually(() => expect(back.heard).toEqual(["last=1"]));
  await broker.close();
  expect(await storedWills()).toEqual([]);
});

it("that its client may not publish any more when it is due is refused, counted and in the audit log", async () => {
  await broker.close();
  const rules = (filter: string): Promise<void> =>
    writeFile(folder.join("access.yaml"), `rules: [{allow: {publish: "${filter}", subscribe: "#"}}]`, { mode: 0o600 });
  await rules("#");
  {
    await using access = accessOf(folder.path);
    broker = await startBroker(new TestIntake(), folder.path, { access });
    await using listener = await watcher();
    const client = await RawClient.connect(broker.address, { id: "c", will: WILL });
    await rules("last");
    // Only when the new rules count is this not heard.
    await eventually(async () => {
      await listener.mqtt.publishAsync("now", "1", { qos: 0 });
      await listener.mqtt.publishAsync("last", `${listener.heard.length}`, { qos: 1 });
      expect(listener.heard.at(-1)).toMatch(/^last=/);
      expect(listener.heard.at(-2)).toMatch(/^last=/);
    });
    client.socket.destroy();
    await eventually(() => expect(broker.counters.willsRefused).toBe(1));
    expect(listener.heard).not.toContain("wills=gone");
    await broker.close();
  }
  const lines = (await readFile(folder.join("audit.log"), "utf8")).split("\n");
  const refused = lines.flatMap((line) => (line.includes("will-refused") ? [JSON.parse(line) as object] : []));
  expect(refused).toMatchObject([{ client: "c", address: "127.0.0.1", topic: "wills", reason: "no rule of the access file allows it" }]);
});
