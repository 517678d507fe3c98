import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hashPassword } from "../../src/broker/access/password-hash.ts";
import { updateUsers } from "../../src/broker/access/users-file.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { accessOf } from "../support/access.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";
import { TempFolder } from "../support/temp-folder.ts";
import { type BrokerProcess, startBrokerProcess } from "./broker-process.ts";

/**
 * The invariant: the will of a client that was connected when the process was killed is published after the next start, when its delay is over and its client
 * is not back before, if its user may publish it then; and it is published once more only when the next process is killed meanwhile.
 */
let folder: TempFolder;
let killed: BrokerProcess;
const clients: RawClient[] = [];

beforeEach(async () => {
  folder = await TempFolder.make();
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client[Symbol.asyncDispose]();
  await killed.kill();
  await folder[Symbol.asyncDispose]();
});

const WATCHER = { clientId: "watcher", clean: false } as const;

/** A client that is there until the test ends, or its broker does. */
async function connected(...args: Parameters<typeof RawClient.connect>): Promise<void> {
  clients.push(await RawClient.connect(...args));
}

async function watch(filter: string): Promise<void> {
  await using watcher = await connectClient(killed.address, WATCHER);
  await watcher.mqtt.subscribeAsync(filter, { qos: 1 });
}

function willOf(text: string, topic = "wills", willDelayInterval?: number): NonNullable<Parameters<typeof RawClient.connect>[1]["will"]> {
  const properties = willDelayInterval === undefined ? {} : { properties: { willDelayInterval } };
  return { topic, payload: Buffer.from(text), qos: 1, retain: false, ...properties };
}

async function setUser(name: string, password: string, groups: readonly string[] = []): Promise<void> {
  const hash = await hashPassword(password);
  await updateUsers(folder.join("users.json"), (users) => void users.set(name, { password: hash, groups }));
}

async function setGroups(groups: readonly string[]): Promise<void> {
  await updateUsers(folder.join("users.json"), (users) => void users.set("anna", { ...users.get("anna"), groups }));
}

async function setRules(text: string): Promise<void> {
  await writeFile(folder.join("access.yaml"), text, { mode: 0o600 });
}

async function refusals(): Promise<unknown[]> {
  const lines = (await readFile(folder.join("audit.log"), "utf8")).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as { event: string }).filter(({ event }) => event === "will-refused");
}

describe("the will of a client that was connected at a kill", () => {
  beforeEach(async () => {
    killed = await startBrokerProcess(folder.path);
  });

  it.each([4, 5] as const)("is published once after the next start (version %i)", async (version) => {
    await watch("wills");
    await using client = await RawClient.connect(killed.address, { id: "c", version, will: willOf("gone") });
    await killed.kill();
    await client.ended();
    {
      await using broker = await startBroker(new TestIntake(), folder.path);
      await using watcher = await connectClient(broker.address, WATCHER);
      await eventually(() => expect(watcher.heard).toEqual(["wills=gone"]));
    }
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using watcher = await connectClient(broker.address, WATCHER);
    await watcher.mqtt.publishAsync("wills", "last", { qos: 1 });
    await eventually(() => expect(watcher.heard).toEqual(["wills=last"]));
  });

  it("goes to functions, with the id of its client, its user properties and without its delay", async () => {
    const will = { ...willOf("gone", "in/wills"), properties: { willDelayInterval: 0, userProperties: { a: "1" } } };
    await connected(killed.address, { id: "c", version: 5, will });
    await killed.kill();
    const intake = new TestIntake();
    await using broker = await startBroker(intake, folder.path);
    await eventually(() => expect(intake.texts).toEqual(["in/wills=gone"]));
    expect(intake.taken).toMatchObject([{ source: "c", properties: { user: { a: "1" } } }]);
    expect(broker.counters.willsRefused).toBe(0);
  });

  it("comes before what its client does next", async () => {
    await watch("wills");
    await connected(killed.address, { id: "c", will: { ...willOf("offline"), retain: true } });
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using client = await RawClient.connect(broker.address, { id: "c" });
    client.publish("wills", "online", { qos: 1, messageId: 1, retain: true });
    await client.next("puback");
    await using watcher = await connectClient(broker.address, WATCHER);
    await eventually(() => expect(watcher.heard).toEqual(["wills=offline", "wills=online"]));
    await using later = await connectClient(broker.address);
    await later.mqtt.subscribeAsync("wills");
    await eventually(() => expect(later.heard).toEqual(["wills=online"]));
  });

  it("waits for its delay, and is dropped when its client is back before (MQTT 5, 3.1.3.2.2)", async () => {
    await watch("wills");
    const delayed = { version: 5, clean: false } as const;
    await connected(killed.address, { ...delayed, id: "back", will: willOf("back", "wills", 2) });
    await connected(killed.address, { ...delayed, id: "away", will: willOf("away", "wills", 3) });
    await connected(killed.address, { ...delayed, id: "anew", will: willOf("anew", "wills", 600) });
    await connected(killed.address, { ...delayed, id: "never", will: willOf("never", "wills", 600) });
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using back = await RawClient.connect(broker.address, { ...delayed, id: "back" });
    expect(back.sessionPresent).toBe(true);
    await connected(broker.address, { ...delayed, id: "anew", clean: true });
    await using watcher = await connectClient(broker.address, WATCHER);
    // The one that would be due before has had its time when this one is there.
    await eventually(() => expect(watcher.heard).toEqual(["wills=anew", "wills=away"]));
  });

  it("keeps to a delay that began before the kill", async () => {
    await watch("wills");
    const client = await RawClient.connect(killed.address, { id: "c", version: 5, clean: false, will: willOf("gone", "wills", 1) });
    await using after = await RawClient.connect(killed.address, {
      id: "after",
      version: 5,
      clean: false,
      will: willOf("after", "wills", 2),
    });
    client.socket.destroy();
    await client.ended();
    await after.ping();
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using watcher = await connectClient(broker.address, WATCHER);
    await eventually(() => expect(watcher.heard).toEqual(["wills=gone", "wills=after"]));
  });

  it("is not published when the client had said good-bye, and the last one is when a connection was taken over", async () => {
    await watch("wills");
    const polite = await RawClient.connect(killed.address, { id: "polite", will: willOf("polite") });
    polite.send({ cmd: "disconnect" });
    await polite.ended();
    await connected(killed.address, { id: "c", will: willOf("first") });
    await using second = await RawClient.connect(killed.address, { id: "c", will: willOf("second") });
    await second.ping();
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using watcher = await connectClient(broker.address, WATCHER);
    await eventually(() => expect(watcher.heard).toEqual(["wills=first", "wills=second"]));
  });
});

describe("by the access rules, the will of a client that was connected at a kill", () => {
  const RULES = `
rules:
  - {who: {group: sensors, client: c*, address: 127.0.0.1}, allow: {publish: "wills/%u/%c"}}
  - {who: {anonymous: true}, allow: {publish: "#", subscribe: "#"}}
`;
  const login = { username: "anna", password: Buffer.from("anna-password") };
  let broker: Broker | undefined;

  beforeEach(async () => {
    await setUser("anna", "anna-password", ["sensors"]);
    await setRules(RULES);
    killed = await startBrokerProcess(folder.path);
    await watch("wills/#");
    await connected(killed.address, { ...login, id: "c1", will: willOf("gone", "wills/anna/c1") });
    await killed.kill();
  });

  afterEach(async () => {
    await broker?.close();
  });

  /** What the watcher hears after the next start up to a message that is sent when the will is out. */
  async function heardAfterStart(): Promise<string[]> {
    await using access = accessOf(folder.path);
    broker = await startBroker(new TestIntake(), folder.path, { access });
    // A client with its id is let in when it is out.
    await using client = await RawClient.connect(broker.address, { id: "c1" });
    client.publish("wills/last", "last", { qos: 1, messageId: 1 });
    await client.next("puback");
    await using watcher = await connectClient(broker.address, WATCHER);
    await eventually(() => expect(watcher.heard).toContain("wills/last=last"));
    return watcher.heard;
  }

  it("is published when its user may publish it", async () => {
    expect(await heardAfterStart()).toEqual(["wills/anna/c1=gone", "wills/last=last"]);
    expect(broker?.counters.willsRefused).toBe(0);
  });

  it.each([
    ["its user may not any more", "no rule of the access file allows it", () => setRules(RULES.replace("group: sensors", "group: others"))],
    ["its user has left the group", "no rule of the access file allows it", () => setGroups([])],
    ["its address may not any more", "no rule of the access file allows it", () => setRules(RULES.replace("127.0.0.1", "127.0.0.2"))],
    ["its user has another password", "its user is gone or has another password", () => setUser("anna", "changed-password", ["sensors"])],
    [
      "its user is gone",
      "its user is gone or has another password",
      () => updateUsers(folder.join("users.json"), (users) => void users.delete("anna")),
    ],
  ])("is refused, counted and in the audit log when %s", async (_, reason, change) => {
    await change();
    expect(await heardAfterStart()).toEqual(["wills/last=last"]);
    expect(broker?.counters.willsRefused).toBe(1);
    const about = { client: "c1", user: "anna", address: "127.0.0.1", listener: "default", topic: "wills/anna/c1" };
    expect(await refusals()).toMatchObject([{ ...about, reason }]);
  });
});
