import { connectAsync, type IClientOptions } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedLink } from "../../../src/control/embedded-link.ts";
import type { Link } from "../../../src/control/link.ts";
import { decodeLink, encodeLink, linkTopic } from "../../../src/core/link.ts";
import { artifactGetSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { RawGateway } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let link: Link;
const asked: { gateway: string; digest: string | undefined }[] = [];
const presence: string[] = [];

beforeAll(async () => {
  link = await openEmbeddedLink({ host: "127.0.0.1", port: 0 }, silentLogger);
  link.on("artifact/get", (gateway, payload) => asked.push({ gateway, digest: decodeLink(artifactGetSchema, payload)?.digest }));
  link.onPresence((gateway, connected) => presence.push(`${gateway} ${connected}`));
});
afterAll(() => link.close());

const ask = (digest: string): Parameters<typeof encodeLink>[0] => ({ digest, offset: 0 });

describe("the embedded link", () => {
  it("does not let one gateway speak for another", async () => {
    await using thief = await RawGateway.connect(link.address, "thief");
    const stolen = thief.client.publishAsync(linkTopic("victim", "artifact/get"), encodeLink(ask("stolen")), { qos: 1 });
    await expect(stolen).rejects.toThrow(/not authorized/i);
    await thief.send("artifact/get", ask("own"));
    await eventually(() => expect(asked).toContainEqual({ gateway: "thief", digest: "own" }));
    expect(asked.some(({ gateway }) => gateway === "victim")).toBe(false);
  });

  it.each(["millrace/victim/desired", "millrace/+/desired", "millrace/#", "#", "$SYS/#"])(
    "does not let a gateway listen to %s",
    async (filter) => {
      await using thief = await RawGateway.connect(link.address, "eavesdropper");
      await expect(thief.client.subscribeAsync(filter, { qos: 1 })).rejects.toThrow(/not authorized/i);
    },
  );

  it("does not let a gateway say what only the control plane says, nor leave retained messages", async () => {
    await using gateway = await RawGateway.connect(link.address, "pretender");
    const desired = encodeLink({ revision: 1, functions: [] });
    await expect(gateway.client.publishAsync(linkTopic("pretender", "desired"), desired, { qos: 1 })).rejects.toThrow(/not authorized/i);
    const hello = gateway.client.publishAsync(linkTopic("pretender", "hello"), "x", { qos: 1, retain: true });
    await expect(hello).rejects.toThrow(/not authorized/i);
    expect(gateway.has("desired")).toBe(false);
  });

  it.each<[string, IClientOptions]>([
    ["an id that is no gateway's", { protocolVersion: 5, clientId: "a/b", clean: true }],
    ["an older protocol", { protocolVersion: 4, clientId: "old", clean: true }],
    ["a session to be kept", { protocolVersion: 5, clientId: "keeper", clean: false }],
    [
      "a session that outlives its connection",
      { protocolVersion: 5, clientId: "keeper", clean: true, properties: { sessionExpiryInterval: 60 } },
    ],
  ])("refuses %s", async (_, options) => {
    const trial = connectAsync(link.address, { ...options, reconnectPeriod: 0, connectTimeout: 5_000 }, false);
    await expect(trial).rejects.toThrow("Couldn't connect to server");
    await using allowed = await RawGateway.connect(link.address, "allowed");
    expect(allowed.client.connected).toBe(true);
  });

  it("tells who comes and goes", async () => {
    {
      await using gateway = await RawGateway.connect(link.address, "visitor");
      await eventually(() => expect(presence).toContain("visitor true"));
      expect(gateway.client.connected).toBe(true);
    }
    await eventually(() => expect(presence).toContain("visitor false"));
  });
});
