import { writeFile } from "node:fs/promises";
import { Duplex } from "node:stream";
import type { Client } from "aedes";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { connectAsync } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import { admittedOf } from "../../../../src/broker/access/admitted.ts";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import type { Arrival } from "../../../../src/broker/arrival.ts";
import { accessOf } from "../../../support/access.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

let folder: TempFolder;
beforeEach(async () => {
  folder = await TempFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe("a token as the password", () => {
  it("lets a client in for as long as it holds, with the rights of its groups", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    await writeFile(folder.join("keys.json"), JSON.stringify({ keys: [await exportJWK(publicKey)] }));
    await writeFile(folder.join("access.yaml"), "rules:\n  - who: {group: sensors}\n    allow: {publish: in/%u}", { mode: 0o600 });
    await using access = accessOf(folder.path, { settings: `mqtt.jwt_keys: ${folder.join("keys.json")}\nmqtt.jwt_leeway: 0s` });
    const intake = new TestIntake();
    await using broker = await startBroker(intake, folder.path, { access });
    const now = Math.floor(Date.now() / 1_000);
    const token = (exp: number): Promise<string> =>
      new SignJWT({ sub: "s1", groups: ["sensors"], exp }).setProtectedHeader({ alg: "ES256" }).sign(privateKey);
    const options = { protocolVersion: 5, username: "whatever", reconnectPeriod: 0 } as const;
    await using client = await connectClient(broker.address, { ...options, password: await token(now + 3) });
    const ended = new Promise((resolve) => client.mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
    await client.mqtt.publishAsync("in/s1", "x", { qos: 1 });
    await expect(client.mqtt.publishAsync("in/s2", "x", { qos: 1 })).rejects.toThrow(/not authorized/i);
    expect(intake.texts).toEqual(["in/s1=x"]);
    expect(await ended).toBe(0xa0);
    await expect(connectAsync(broker.address, { ...options, password: await token(now - 1) })).rejects.toMatchObject({ code: 0x86 });
    await expect(connectAsync(broker.address, { ...options, password: "no token" })).rejects.toMatchObject({ code: 0x86 });
  });

  it("that ends cuts off a client that takes nothing, within seconds", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    await writeFile(folder.join("keys.json"), JSON.stringify({ keys: [await exportJWK(publicKey)] }));
    await using access = accessOf(folder.path, { settings: `mqtt.jwt_keys: ${folder.join("keys.json")}\nmqtt.jwt_leeway: 0s` });
    await using broker = await startBroker(new TestIntake(), folder.path, { access });
    const exp = Math.floor(Date.now() / 1_000) + 8;
    const token = await new SignJWT({ sub: "s1", exp }).setProtectedHeader({ alg: "ES256" }).sign(privateKey);
    await using full = await RawClient.connect(broker.address, { id: "full", version: 5, username: "s1", password: Buffer.from(token) });
    full.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "flood", qos: 0 }] });
    await full.next("suback");
    full.socket.pause();
    await using publisher = await connectClient(broker.address);
    // More than the sockets of both sides take.
    for (let index = 0; index < 3_000; index++) publisher.mqtt.publish("flood", Buffer.alloc(8_000));
    let before = 0;
    await eventually(async () => {
      const [info] = broker.connections.list({ limit: 1, user: "s1" });
      const { queued = 0, bytesOut = 0 } = info ?? {};
      const isStuck = queued > 50 && bytesOut === before;
      before = bytesOut;
      expect(isStuck).toBe(true);
    });
    await eventually(() => expect(broker.connections.list({ limit: 10, user: "s1" })).toEqual([]));
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1_000);
    // Packets for a socket that is full wait for up to a minute; a DISCONNECT does not.
    expect(Date.now()).toBeLessThan(exp * 1_000 + 20_000);
  });
});

/** A connection as a listener of any kind would hand it on. */
function clientOf(id: string): Client {
  const conn = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  return { id, conn, closed: false, version: 5, subscriptions: {} } as unknown as Client;
}

describe("a client certificate", () => {
  const certificate = { commonName: "pump-3", names: ["DNS:pump-3.example.com", "URI:urn:pump"], fingerprint: "f", serial: "1" };
  const arrival: Arrival = { listener: "tls", anonymous: false, address: "10.0.0.3", isLocal: false, certificate };
  const none = { user: undefined, password: undefined };

  async function admitted(access: Access, from: Arrival, credentials = none): Promise<unknown> {
    const client = clientOf("c");
    await access.admit(client, from, credentials);
    return admittedOf(client)?.identity;
  }

  it("is the user by its common name or its first alternative name, with the groups of the users file", async () => {
    await updateUsers(folder.join("users.json"), (users) => void users.set("pump-3", { groups: ["pumps"] }));
    await using access = accessOf(folder.path);
    expect(await admitted(access, arrival)).toEqual({ user: "pump-3", groups: ["pumps"], proof: "certificate" });
    await using other = accessOf(folder.path, { settings: "mqtt.certificate_identity: alternative-name" });
    expect(await admitted(other, arrival)).toEqual({ user: "pump-3.example.com", groups: [], proof: "certificate" });
  });

  it("counts more than a name that comes with it, and has to have the name that is asked for", async () => {
    await using access = accessOf(folder.path);
    expect(await admitted(access, arrival, { user: "admin", password: Buffer.from("x") } as never)).toMatchObject({ user: "pump-3" });
    const nameless = { ...arrival, certificate: { ...certificate, commonName: "" } };
    await expect(admitted(access, nameless)).rejects.toMatchObject({ reasonCode: 0x86 });
  });

  it("is needed, or a password, where the listener does not say otherwise", async () => {
    await using access = accessOf(folder.path);
    const { certificate: _, ...bare } = arrival;
    await expect(admitted(access, bare)).rejects.toMatchObject({ reasonCode: 0x87, returnCode: 5 });
    expect(await admitted(access, { ...bare, anonymous: true })).toEqual({ user: undefined, groups: [], proof: "none" });
    expect(await admitted(access, { ...bare, anonymous: true, isLocal: true })).toMatchObject({ groups: ["operators"] });
  });
});

describe("starting", () => {
  it.each([
    ["users.json", "{", "", "USERS_INVALID"],
    ["access.yaml", "rules: [", "", "ACCESS_INVALID"],
    ["keys.json", "{", "mqtt.jwt_keys: KEYS", "ACCESS_INVALID"],
    ["other", "", "mqtt.access_file: /nowhere/access.yaml", "FILE_UNREADABLE"],
    ["other", "", "mqtt.jwt_keys: /nowhere/keys.json", "FILE_UNREADABLE"],
    ["other", "", "mqtt.jwt_keys: https://example.com/k\nmqtt.jwt_algorithms: [HS256]", "CONFIG_INVALID"],
    ["other", "", "mqtt.jwt_keys: http://example.com/k", "CONFIG_INVALID"],
  ])("fails with a mistake in %s (%j, %j)", async (name, text, settings, code) => {
    await writeFile(folder.join(name), text, { mode: 0o600 });
    expect(() => accessOf(folder.path, { settings: settings.replace("KEYS", folder.join("keys.json")) })).toThrow(
      expect.objectContaining({ code }),
    );
  });
});
