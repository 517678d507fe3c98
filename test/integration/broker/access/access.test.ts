import { readFile, writeFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { networkInterfaces } from "node:os";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { generate } from "mqtt-packet";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import type { Broker } from "../../../../src/broker/broker.ts";
import { encodeMessage } from "../../../../src/core/message.ts";
import { accessOf, setUser } from "../../../support/access.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

const RULES = `
rules:
  - who: {group: sensors}
    allow: {publish: ["in/%c/#", "out/%c/#"], subscribe: ["cmd/%c/#", "out/%c/#"], retain: "out/%c/state"}
  - who: {user: anna}
    allow: {publish: "cmd/#", subscribe: ["out/#", "cmd/#"]}
  - who: {group: operators}
    allow: {publish: "#", subscribe: "#", retain: "#"}
`;

let folder: TempFolder;
let intake: TestIntake;
let access: Access;
let broker: Broker;

beforeEach(async () => {
  folder = await TempFolder.make();
  await setUser(folder.path, "sensor", "sensor-password", ["sensors"]);
  await setUser(folder.path, "anna", "anna-password", []);
  intake = new TestIntake();
});

afterEach(async () => {
  await broker.close();
  await access[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Without an access file for an empty text. */
async function start(rules = RULES, host = "127.0.0.1"): Promise<void> {
  if (rules !== "") await writeFile(folder.join("access.yaml"), rules, { mode: 0o600 });
  access = accessOf(folder.path);
  broker = await startBroker(intake, folder.path, { access, endpoint: { host, port: 0 } });
}

const sensor = { username: "sensor", password: "sensor-password", clientId: "s1" };
const anna = { username: "anna", password: "anna-password", clientId: "a1" };

describe.each([4, 5] as const)("a client of protocol version %i", (protocolVersion) => {
  const own: IClientOptions = { protocolVersion, reconnectPeriod: 0 };

  it("comes in with the right password and is told when it is wrong", async () => {
    await start();
    const client = await connectAsync(broker.address, { ...own, ...sensor });
    await client.endAsync();
    const wrong = protocolVersion === 5 ? 0x86 : 4;
    await expect(connectAsync(broker.address, { ...own, ...sensor, password: "sensor-passwor" })).rejects.toMatchObject({ code: wrong });
    await expect(connectAsync(broker.address, { ...own, username: "nobody", password: "sensor-password" })).rejects.toMatchObject({
      code: wrong,
    });
    await expect(connectAsync(broker.address, { ...own, username: "sensor" })).rejects.toMatchObject({ code: wrong });
    await expect(connectAsync(broker.address, { ...own, username: "__proto__", password: "x" })).rejects.toMatchObject({ code: wrong });
    const local = await connectAsync(broker.address, own);
    await local.endAsync();
  });

  it("has to wait after five failures, and others need not", async () => {
    await start();
    for (let index = 0; index < 5; index++)
      await expect(connectAsync(broker.address, { ...own, username: "sensor", password: "wrong-password" })).rejects.toBeDefined();
    await expect(connectAsync(broker.address, { ...own, ...sensor })).rejects.toMatchObject({ code: protocolVersion === 5 ? 0x9f : 3 });
    const local = await connectAsync(broker.address, own);
    await local.endAsync();
  });

  it("may subscribe to what the rules allow, and hears of each other filter that it may not", async () => {
    await start();
    await using client = await connectClient(broker.address, { ...own, ...sensor });
    const granted = await subscribe(client.mqtt, ["cmd/s1/#", "cmd/+/x", "#", "$SYS/#", "out/s1/a"]);
    const refused = protocolVersion === 5 ? 0x87 : 0x80;
    expect(granted).toEqual([1, refused, refused, refused, 1]);
    await using other = await connectClient(broker.address, { ...own, ...anna });
    await other.mqtt.publishAsync("cmd/s2/x", "no", { qos: 1 });
    await other.mqtt.publishAsync("cmd/s1/x", "yes", { qos: 1 });
    await eventually(() => expect(client.heard).toEqual(["cmd/s1/x=yes"]));
  });

  it("gets no copies for filters that were refused beside others, also while it is away", async () => {
    await start();
    const kept: IClientOptions = protocolVersion === 5 ? { clean: true, properties: { sessionExpiryInterval: 1_000 } } : { clean: false };
    {
      await using client = await connectClient(broker.address, { ...own, ...sensor, ...kept });
      await subscribe(client.mqtt, ["cmd/s1/#", "cmd/#"]);
    }
    await using other = await connectClient(broker.address, { ...own, ...anna });
    await other.mqtt.publishAsync("cmd/s2/x", "no", { qos: 1 });
    await other.mqtt.publishAsync("cmd/s1/x", "yes", { qos: 1 });
    await using back = await connectClient(broker.address, { ...own, ...sensor, ...kept, clean: false });
    await other.mqtt.publishAsync("cmd/s2/x", "no", { qos: 1 });
    await other.mqtt.publishAsync("cmd/s1/x", "later", { qos: 1 });
    await eventually(() => expect(back.heard).toEqual(["cmd/s1/x=yes", "cmd/s1/x=later"]));
  });

  it("is not let in with a will that it may not publish", async () => {
    await start();
    const will = { topic: "cmd/s2/x", payload: Buffer.from("w"), qos: 1 as const, retain: false };
    await expect(connectAsync(broker.address, { ...own, ...sensor, will })).rejects.toMatchObject({
      code: protocolVersion === 5 ? 0x87 : 5,
    });
    const retained = { ...will, topic: "out/s1/x", retain: true };
    await expect(connectAsync(broker.address, { ...own, ...sensor, will: retained })).rejects.toMatchObject({
      code: protocolVersion === 5 ? 0x87 : 5,
    });
    await using listener = await connectClient(broker.address, { ...own, ...anna });
    await subscribe(listener.mqtt, ["out/#"]);
    const client = await connectAsync(broker.address, { ...own, ...sensor, will: { ...will, topic: "out/s1/gone" } });
    client.stream.destroy();
    await eventually(() => expect(listener.heard).toEqual(["out/s1/gone=w"]));
  });

  it.each(["$SYS/g/x", "$share/g/x", "$other"])("cannot publish to %s, whatever the rules say, nor leave it as a will", async (topic) => {
    await start("");
    await using listener = await connectClient(broker.address, own);
    await subscribe(listener.mqtt, ["#", "$SYS/g/x", "$SYS/#"]);
    await using client = await connectClient(broker.address, { ...own, will: { topic, payload: Buffer.from("w"), qos: 0, retain: true } });
    // A version 4 client has no way to hear of it.
    const forged = await client.mqtt.publishAsync(topic, "forged", { qos: 1, retain: true }).catch((error: unknown) => error);
    expect(forged instanceof Error).toBe(protocolVersion === 5);
    client.mqtt.stream.destroy();
    await using last = await connectClient(broker.address, own);
    await last.mqtt.publishAsync("end", "end", { qos: 1 });
    await eventually(() => expect(listener.heard).toContain("end=end"));
    expect(listener.heard.filter((text) => text.startsWith(`${topic}=`))).toEqual([]);
  });
});

it("logs who was refused and why, with nothing that it proves itself with", async () => {
  const lines: string[] = [];
  const logger = pino({ level: "trace" }, { write: (line) => void lines.push(line) });
  await writeFile(folder.join("access.yaml"), RULES, { mode: 0o600 });
  access = accessOf(folder.path, { logger });
  broker = await startBroker(intake, folder.path, { access });
  const options = { protocolVersion: 5, reconnectPeriod: 0, clientId: "guesser", username: "sensor" } as const;
  await expect(connectAsync(broker.address, { ...options, password: "guessed-password" })).rejects.toBeDefined();
  await using client = await connectClient(broker.address, { ...options, ...sensor });
  await expect(client.mqtt.publishAsync("in/s2/x", "x", { qos: 1 })).rejects.toBeDefined();
  expect(await subscribe(client.mqtt, ["#"])).toEqual([0x87]);
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged).toEqual([
    expect.objectContaining({
      client: "guesser",
      user: "sensor",
      address: "127.0.0.1",
      listener: "default",
      reason: "the user name or the password is wrong",
    }),
    expect.objectContaining({
      client: "s1",
      user: "sensor",
      topic: "in/s2/x",
      reason: "no rule of the access file allows it",
      msg: "a client may not publish",
    }),
    expect.objectContaining({ client: "s1", topic: "#", msg: "a client may not subscribe" }),
  ]);
  expect(lines.join("")).not.toMatch(/guessed-password|sensor-password|scrypt/);
});

it("looks at a handful of passwords that come all at once, and not at the others", async () => {
  await start();
  const tries = await Promise.allSettled(
    Array.from({ length: 60 }, (_, index) =>
      connectAsync(broker.address, {
        ...sensor,
        clientId: `c${index}`,
        password: `guess-${index}`,
        protocolVersion: 5,
        reconnectPeriod: 0,
      }),
    ),
  );
  const codes = tries.map((one) => (one.status === "rejected" ? (one.reason as { code: number }).code : 0));
  const looked = codes.filter((code) => code === 0x86).length;
  expect(looked).toBeGreaterThanOrEqual(5);
  expect(looked).toBeLessThanOrEqual(10);
  expect(codes.filter((code) => code === 0x89 || code === 0x9f)).toHaveLength(60 - looked);
});

it("knows nothing any more of clients that go while their password is looked at", async () => {
  await start();
  for (let index = 0; index < 5; index++) {
    const socket = connectSocket({ host: "127.0.0.1", port: Number(new URL(broker.address).port) });
    socket.end(
      generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        keepalive: 0,
        ...sensor,
        password: Buffer.from(sensor.password),
      }),
    );
    await new Promise((resolve) => socket.once("close", resolve).resume());
  }
  await using other = await connectClient(broker.address, { ...anna, clientId: sensor.clientId, reconnectPeriod: 0 });
  await other.mqtt.publishAsync("cmd/x", "x", { qos: 1 });
  expect(broker.clients).toBe(1);
});

it("notes who came in, went and was refused, and which file was changed", async () => {
  await start();
  await expect(connectAsync(broker.address, { ...sensor, password: "guessed-password", reconnectPeriod: 0 })).rejects.toBeDefined();
  const client = await connectAsync(broker.address, { ...sensor, reconnectPeriod: 0 });
  await setUser(folder.path, "sensor", "another-password", []);
  await new Promise<void>((resolve) => client.once("close", () => resolve()));
  await broker.close();
  await access[Symbol.asyncDispose]();
  const text = await readFile(folder.join("audit.log"), "utf8");
  const about = { client: "s1", user: "sensor", address: "127.0.0.1" };
  expect(
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    expect.objectContaining({ event: "refused", ...about, listener: "default", reason: "the user name or the password is wrong" }),
    expect.objectContaining({ event: "connected", ...about, listener: "default", proof: "password" }),
    expect.objectContaining({ event: "changed", file: folder.join("users.json") }),
    expect.objectContaining({ event: "refused", ...about, reason: "its user is gone or has another password" }),
    expect.objectContaining({ event: "disconnected", ...about, listener: "default" }),
  ]);
  expect(text).not.toMatch(/password"?:|guessed-password|another-password|scrypt/);
});

it("lets a client of version 5 go on after a publish that is refused, and takes nothing of it", async () => {
  await start();
  await using client = await rawClient("s1");
  client.publish("in/s2/x", "no", { qos: 1, messageId: 1 });
  expect(await client.next("puback")).toMatchObject({ messageId: 1, reasonCode: 0x87 });
  client.publish("in/s2/x", "no", { qos: 2, messageId: 2 });
  expect(await client.next("pubrec")).toMatchObject({ messageId: 2, reasonCode: 0x87 });
  client.publish("in/s2/x", "no");
  client.publish("out/s1/x", "not kept", { qos: 1, messageId: 3, retain: true });
  expect(await client.next("puback")).toMatchObject({ messageId: 3, reasonCode: 0x87 });
  client.publish("in/s1/x", "yes", { qos: 2, messageId: 2 });
  const pubrec = await client.next("pubrec");
  expect(pubrec).toMatchObject({ messageId: 2 });
  expect(Reflect.get(pubrec, "reasonCode") ?? 0).toBe(0);
  expect(intake.texts).toEqual(["in/s1/x=yes"]);
});

it("ends the connection of an older client for a message that wants an acknowledgement, and drops one that does not", async () => {
  await start();
  await using client = await connectClient(broker.address, { ...sensor, reconnectPeriod: 0 });
  client.mqtt.publish("in/s2/x", "no");
  await client.mqtt.publishAsync("in/s1/x", "yes", { qos: 1 });
  expect(broker.counters.refused).toBe(1);
  const closed = new Promise<void>((resolve) => client.mqtt.once("close", () => resolve()));
  client.mqtt.publish("in/s2/x", "no", { qos: 1 });
  await closed;
  expect(intake.texts).toEqual(["in/s1/x=yes"]);
});

it("applies changed rules to those who are connected, and none when the file has a mistake", async () => {
  await start();
  await using client = await connectClient(broker.address, { ...sensor, protocolVersion: 5, reconnectPeriod: 0 });
  await using other = await connectClient(broker.address, { ...anna, protocolVersion: 5, reconnectPeriod: 0 });
  expect(await subscribe(client.mqtt, ["cmd/s1/#"])).toEqual([1]);
  await writeFile(folder.join("access.yaml"), "rules: [");
  await using during = await connectClient(broker.address, { ...sensor, clientId: "s2" });
  await during.mqtt.publishAsync("in/s2/x", "still allowed", { qos: 1 });
  await client.mqtt.publishAsync("in/s1/x", "still allowed", { qos: 1 });
  const code = new Promise((resolve) => client.mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
  await writeFile(
    folder.join("access.yaml"),
    RULES.replace('["cmd/%c/#", "out/%c/#"]', '"out/%c/#"').replace('"cmd/#", subscribe', '"other/#", subscribe'),
  );
  expect(await code).toBe(0x87);
  await expect(other.mqtt.publishAsync("cmd/s1/x", "x", { qos: 1 })).rejects.toThrow(/not authorized/i);
  await other.mqtt.publishAsync("other/x", "x", { qos: 1 });
});

it("gives a session nothing that waited for it and that it may not have any more", async () => {
  await start();
  const kept: IClientOptions = { clean: false, reconnectPeriod: 0 };
  {
    await using client = await connectClient(broker.address, { ...sensor, ...kept });
    await subscribe(client.mqtt, ["cmd/s1/#", "out/s1/#"]);
  }
  await using other = await connectClient(broker.address, { ...anna });
  await using local = await connectClient(broker.address);
  await other.mqtt.publishAsync("cmd/s1/x", "secret", { qos: 1 });
  await local.mqtt.publishAsync("out/s1/x", "fine", { qos: 1 });
  await writeFile(folder.join("access.yaml"), RULES.replace('["cmd/%c/#", "out/%c/#"]', '"out/%c/#"'));
  await using back = await connectClient(broker.address, { ...sensor, ...kept });
  await other.mqtt.publishAsync("cmd/s1/x", "secret", { qos: 1 });
  await local.mqtt.publishAsync("out/s1/x", "last", { qos: 1 });
  await eventually(() => expect(back.heard).toEqual(["out/s1/x=fine", "out/s1/x=last"]));
});

it("disconnects a user that is removed or gets another password", async () => {
  await start();
  await using first = await connectClient(broker.address, { ...sensor, protocolVersion: 5, reconnectPeriod: 0 });
  await using second = await connectClient(broker.address, { ...anna, protocolVersion: 5, reconnectPeriod: 0 });
  const codes = [first, second].map(
    ({ mqtt }) => new Promise((resolve) => mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode))),
  );
  await setUser(folder.path, "sensor", "another-password", ["sensors"]);
  expect(await codes[0]).toBe(0x87);
  await updateUsers(folder.join("users.json"), (users) => void users.delete("anna"));
  expect(await codes[1]).toBe(0x87);
  await expect(connectAsync(broker.address, { ...sensor, reconnectPeriod: 0 })).rejects.toMatchObject({ code: 4 });
  await using again = await connectClient(broker.address, { ...sensor, password: "another-password" });
  await again.mqtt.publishAsync("out/s1/x", "x", { qos: 1 });
});

it("delivers what functions publish under their manifest, also to topics that no client may publish to", async () => {
  await start();
  await using listener = await connectClient(broker.address, { ...anna });
  await subscribe(listener.mqtt, ["out/#"]);
  const record = encodeMessage({
    topic: "out/by/function",
    payload: Buffer.from("x"),
    qos: 1,
    retain: false,
    source: "f",
    time: 0,
    hops: 1,
  });
  await new Promise<void>((resolve) => broker.deliver([record], resolve));
  await eventually(() => expect(listener.heard).toEqual(["out/by/function=x"]));
});

const outside = Object.values(networkInterfaces())
  .flatMap((found) => found ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

describe.skipIf(outside === undefined)("a client that does not come over loopback", () => {
  it("is refused without a user, and with one may do nothing without rules", async () => {
    await start("", "0.0.0.0");
    await expect(connectAsync(outsideAddress(), { protocolVersion: 5, reconnectPeriod: 0 })).rejects.toMatchObject({ code: 0x87 });
    await expect(connectAsync(outsideAddress(), { protocolVersion: 4, reconnectPeriod: 0 })).rejects.toMatchObject({ code: 5 });
    await using client = await connectClient(outsideAddress(), { ...sensor, protocolVersion: 5 });
    expect(await subscribe(client.mqtt, ["cmd/s1/x"])).toEqual([0x87]);
    await expect(client.mqtt.publishAsync("in/s1/x", "x", { qos: 1 })).rejects.toThrow(/not authorized/i);
    expect(intake.taken).toEqual([]);
  });

  it("may do what rules allow", async () => {
    await start(RULES, "0.0.0.0");
    await using client = await connectClient(outsideAddress(), { ...sensor, protocolVersion: 5 });
    await client.mqtt.publishAsync("in/s1/x", "x", { qos: 1 });
    expect(intake.texts).toEqual(["in/s1/x=x"]);
  });
});

function outsideAddress(): string {
  return `mqtt://${outside}:${new URL(broker.address).port}`;
}

/** The codes of the SUBACK. */
function subscribe(client: MqttClient, filters: readonly string[]): Promise<number[]> {
  return new Promise((resolve, reject) => {
    client.subscribe([...filters], { qos: 1 }, (error, _granted, packet) => {
      if (packet === undefined) reject(error ?? new Error("no SUBACK"));
      else resolve(packet.granted as number[]);
    });
  });
}

function rawClient(id: string): Promise<RawClient> {
  return RawClient.connect(broker.address, { id, version: 5, username: sensor.username, password: Buffer.from(sensor.password) });
}
