import { readFile, writeFile } from "node:fs/promises";
import { connectAsync, type IClientOptions } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import { hashPassword } from "../../../../src/broker/access/password-hash.ts";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import type { Broker } from "../../../../src/broker/broker.ts";
import { accessOf } from "../../../support/access.ts";
import { connectClient, startBroker, TestIntake } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

const sensor = { username: "sensor", password: "sensor-password", clientId: "s1" };
const anna = { username: "anna", password: "anna-password", clientId: "a1" };

let folder: TempFolder;
let access: Access;
let broker: Broker;

beforeEach(async () => {
  folder = await TempFolder.make();
  for (const { username, password } of [sensor, anna]) {
    const hash = await hashPassword(password);
    await updateUsers(folder.join("users.json"), (users) => void users.set(username, { password: hash, groups: [] }));
  }
  await writeFile(folder.join("access.yaml"), 'rules: [{allow: {publish: "#", subscribe: "#"}}]', { mode: 0o600 });
  access = accessOf(folder.path);
  broker = await startBroker(new TestIntake(), folder.path, { access });
});

afterEach(async () => {
  await broker.close();
  await access[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

describe.each([4, 5] as const)("a client of protocol version %i", (protocolVersion) => {
  const own: IClientOptions = { protocolVersion, reconnectPeriod: 0 };
  const kept: IClientOptions = { ...own, clean: false, ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {}) };
  const refused = { code: protocolVersion === 5 ? 0x87 : 5 };

  it("cannot take over the session of another user", async () => {
    await using first = await connectClient(broker.address, { ...own, ...sensor });
    await expect(connectAsync(broker.address, { ...own, ...anna, clientId: "s1" })).rejects.toMatchObject(refused);
    await first.mqtt.publishAsync("out/s1/x", "still here", { qos: 1 });
    await using second = await connectClient(broker.address, { ...own, ...sensor });
    await second.mqtt.publishAsync("out/s1/x", "own", { qos: 1 });
  });

  it("keeps its session to its user while it is away, also over a restart, until an operator ends it", async () => {
    {
      await using client = await connectClient(broker.address, { ...kept, ...sensor });
      await client.mqtt.subscribeAsync("cmd/s1/#", { qos: 1 });
    }
    await using other = await connectClient(broker.address, { ...own, ...anna });
    await other.mqtt.publishAsync("cmd/s1/x", "for the sensor", { qos: 1 });
    const everybodyElse = async (): Promise<void> => {
      // Neither to take it up nor to end it, with a name or without.
      for (const clean of [false, true]) {
        await expect(connectAsync(broker.address, { ...kept, ...anna, clientId: "s1", clean })).rejects.toMatchObject(refused);
        await expect(connectAsync(broker.address, { ...kept, clientId: "s1", clean })).rejects.toMatchObject(refused);
      }
    };
    await everybodyElse();
    await broker.close();
    broker = await startBroker(new TestIntake(), folder.path, { access });
    await everybodyElse();
    {
      await using back = await connectClient(broker.address, { ...kept, ...sensor });
      await eventually(() => expect(back.heard).toEqual(["cmd/s1/x=for the sensor"]));
    }
    const reason = `the session with this client id belongs to the user "sensor"; \`millrace clients forget ID\` ends it`;
    await eventually(async () => expect(await readFile(folder.join("audit.log"), "utf8")).toContain(JSON.stringify(reason)));
    expect(await broker.connections.forget("s1")).toBe(true);
    await using taker = await connectClient(broker.address, { ...kept, ...anna, clientId: "s1" });
    await expect(connectAsync(broker.address, { ...kept, ...sensor })).rejects.toMatchObject(refused);
    expect(taker.heard).toEqual([]);
  });

  it("becomes the owner of a session that nobody owned", async () => {
    const before = await connectAsync(broker.address, { ...kept, clientId: "s1" });
    await before.endAsync();
    const client = await connectAsync(broker.address, { ...kept, ...sensor });
    await client.endAsync();
    await expect(connectAsync(broker.address, { ...kept, clientId: "s1" })).rejects.toMatchObject(refused);
  });
});
