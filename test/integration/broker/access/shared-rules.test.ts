import { writeFile } from "node:fs/promises";
import type { IClientOptions, MqttClient } from "mqtt";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import { hashPassword } from "../../../../src/broker/access/password-hash.ts";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import type { Broker } from "../../../../src/broker/broker.ts";
import { accessOf } from "../../../support/access.ts";
import { connectClient, startBroker, type TestClient, TestIntake } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

/** One who may read little, one who may read almost everything, and an operator on loopback. */
const RULES = `
rules:
  - who: {user: narrow}
    allow: {subscribe: cmd/#}
  - who: {user: wide}
    deny: {subscribe: secret/#}
    allow: {subscribe: "#"}
  - who: {group: operators}
    allow: {publish: "#", subscribe: "#"}
`;
const WITHOUT_CMD = RULES.replace("cmd/#", "other/#");

let folder: TempFolder;
let access: Access;
let broker: Broker;
let operator: TestClient;

beforeEach(async () => {
  folder = await TempFolder.make();
  for (const name of ["narrow", "wide"]) {
    const password = await hashPassword(`${name}-password`);
    await updateUsers(folder.join("users.json"), (users) => void users.set(name, { password, groups: [] }));
  }
  await setRules(RULES);
  access = accessOf(folder.path);
  broker = await startBroker(new TestIntake(), folder.path, { access });
  operator = await connectClient(broker.address, { clientId: "operator", protocolVersion: 5 });
});

afterEach(async () => {
  await operator[Symbol.asyncDispose]();
  await broker.close();
  await access[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function setRules(text: string): Promise<void> {
  await writeFile(folder.join("access.yaml"), text, { mode: 0o600 });
}

function comeIn(name: "narrow" | "wide", options: IClientOptions = {}): Promise<TestClient> {
  const proof = { username: name, password: `${name}-password`, clientId: name };
  return connectClient(broker.address, { ...proof, protocolVersion: 5, reconnectPeriod: 0, ...options });
}

const KEPT: IClientOptions = { clean: false, properties: { sessionExpiryInterval: 1_000 } };

/** The codes of the SUBACK. */
function subscribe({ mqtt }: { readonly mqtt: MqttClient }, filters: readonly string[]): Promise<number[]> {
  return new Promise((resolve, reject) => {
    mqtt.subscribe([...filters], { qos: 1 }, (error, _granted, packet) => {
      if (packet === undefined) reject(error ?? new Error("no SUBACK"));
      else resolve(packet.granted as number[]);
    });
  });
}

async function publish(topic: string, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await operator.mqtt.publishAsync(topic, text, { qos: 1 });
}

it("a stored session has the shared subscription that a rule allows", async () => {
  {
    await using away = await comeIn("narrow", KEPT);
    expect(await subscribe(away, ["$share/g/cmd/a"])).toEqual([1]);
  }
  await publish("cmd/a", "waits");
  await using back = await comeIn("narrow", KEPT);
  await eventually(() => expect(back.heard).toEqual(["cmd/a=waits"]));
});

it("a stored session has no shared subscription that was refused beside others, and takes nothing from its group", async () => {
  const keeping = { clientId: "keeper", protocolVersion: 5, reconnectPeriod: 0, ...KEPT } as const;
  {
    await using keeper = await connectClient(broker.address, keeping);
    await subscribe(keeper, ["$share/g/secret/a"]);
    await using away = await comeIn("wide", KEPT);
    expect(await subscribe(away, ["$share/g/secret/a", "cmd/a"])).toEqual([0x87, 1]);
  }
  await publish("secret/a", "1", "2", "3", "4");
  await publish("cmd/a", "last");
  await using keeper = await connectClient(broker.address, keeping);
  await using back = await comeIn("wide", KEPT);
  await eventually(() => expect(keeper.heard).toEqual(["1", "2", "3", "4"].map((text) => `secret/a=${text}`)));
  await eventually(() => expect(back.heard).toEqual(["cmd/a=last"]));
});

it("who may not have a shared subscription any more is disconnected, and others stay", async () => {
  await using narrow = await comeIn("narrow");
  await using wide = await comeIn("wide");
  expect(await subscribe(narrow, ["$share/g/cmd/a"])).toEqual([1]);
  expect(await subscribe(wide, ["$share/g/cmd/a"])).toEqual([1]);
  const code = new Promise((resolve) => narrow.mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
  await setRules(WITHOUT_CMD);
  expect(await code).toBe(0x87);
  await publish("cmd/a", "1", "2");
  await eventually(() => expect(wide.heard).toEqual(["cmd/a=1", "cmd/a=2"]));
  expect(narrow.heard).toEqual([]);
});

it("what waited for a member that may not have it any more goes to another, and so does what comes after", async () => {
  {
    await using away = await comeIn("narrow", KEPT);
    await subscribe(away, ["$share/g/cmd/a"]);
  }
  await publish("cmd/a", "1", "2");
  await setRules(WITHOUT_CMD);
  await using wide = await comeIn("wide");
  await subscribe(wide, ["$share/g/cmd/a"]);
  await using back = await comeIn("narrow", KEPT);
  await eventually(() => expect(wide.heard).toEqual(["cmd/a=1", "cmd/a=2"]));
  await wide.mqtt.unsubscribeAsync("$share/g/cmd/a");
  await setRules(RULES);
  await publish("cmd/a", "for nobody");
  await back.mqtt.endAsync();
  await using again = await comeIn("narrow", KEPT);
  await subscribe(again, ["cmd/b"]);
  await publish("cmd/b", "last");
  await eventually(() => expect(again.heard).toEqual(["cmd/b=last"]));
});

it("of a session that was anybody's and that a user takes up, messages of a group go to a member that may have them", async () => {
  {
    await using away = await connectClient(broker.address, { clientId: "wide", protocolVersion: 5, ...KEPT });
    await subscribe(away, ["$share/g/alarms/a"]);
  }
  await publish("alarms/a", "1");
  await subscribe(operator, ["$share/g/alarms/a"]);
  await using taker = await comeIn("narrow", { ...KEPT, clientId: "wide" });
  await eventually(() => expect(operator.heard).toEqual(["alarms/a=1"]));
  await publish("alarms/a", "2", "3");
  await eventually(() => expect(operator.heard).toEqual(["alarms/a=1", "alarms/a=2", "alarms/a=3"]));
  expect(taker.heard).toEqual([]);
});

it("the list of clients shows a shared subscription as it was sent", async () => {
  await using client = await comeIn("narrow");
  await subscribe(client, ["$share/g/cmd/a", "cmd/b"]);
  const [info] = broker.connections.list({ limit: 1, user: "narrow" });
  expect(info?.subscriptions.toSorted()).toEqual(["$share/g/cmd/a", "cmd/b"]);
});
