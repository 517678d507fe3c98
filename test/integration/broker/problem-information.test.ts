import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { accessOf } from "../../support/access.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach({ clientsMax: 5 });

interface Ending {
  readonly what: string;
  readonly code: number;
  readonly text: string;
  readonly keepalive?: number;
  readonly bring: (client: RawClient) => unknown;
}

const ENDINGS: readonly Ending[] = [
  {
    what: "another connection with its client id",
    code: 0x8e,
    text: "a connection with the same client id has taken its place",
    bring: () => connectClient(site.broker.address, { clientId: "c", protocolVersion: 5 }),
  },
  {
    what: "another one that keeps its session",
    code: 0x8e,
    text: "a connection with the same client id has taken its place",
    bring: () => connectClient(site.broker.address, { clientId: "c", protocolVersion: 5, clean: false }),
  },
  {
    what: "its silence",
    code: 0x8d,
    text: "nothing has come from it for one and a half times its keep alive",
    keepalive: 1,
    bring: () => undefined,
  },
  {
    what: "an operator",
    code: 0x98,
    text: "it was disconnected by an operator",
    bring: () => site.broker.connections.disconnect("c"),
  },
  {
    what: "an operator who ends its session",
    code: 0x98,
    text: "it was disconnected by an operator",
    bring: () => site.broker.connections.forget("c"),
  },
  {
    what: "a subscription identifier of 0",
    code: 0x82,
    text: ".",
    bring: (client) =>
      // SUBSCRIBE with a packet id, the identifier 0, and one filter.
      client.socket.write(Buffer.from([0x82, 9, 0, 1, 2, 0x0b, 0, 0, 1, 0x61, 1])),
  },
  {
    what: "the end of the broker",
    code: 0x8b,
    text: "the broker is being stopped",
    bring: () => site.broker.close(),
  },
];

describe.each(ENDINGS)("a client that is disconnected because of $what", ({ code, text, keepalive = 0, bring }) => {
  it("is told so in words", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5, keepalive });
    const brought = Promise.resolve(bring(client));
    const packet = await client.next("disconnect");
    expect(packet).toMatchObject({ reasonCode: code, properties: { reasonString: expect.stringMatching(text) } });
    await client.ended();
    await brought;
  });

  it("gets the code alone when it has asked for no problem information [MQTT-3.1.2-29]", async () => {
    const properties = { requestProblemInformation: false };
    await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5, keepalive, properties });
    const brought = Promise.resolve(bring(client));
    const packet = await client.next("disconnect");
    expect(packet).toMatchObject({ reasonCode: code });
    expect(packet).not.toHaveProperty("properties.reasonString");
    await client.ended();
    await brought;
  });
});

describe("what a client may not publish or subscribe to", () => {
  it.each([true, false])("is said in words unless they are refused (wanted: %s) [MQTT-3.1.2-29]", async (requestProblemInformation) => {
    await writeFile(site.folder.join("access.yaml"), "rules: []", { mode: 0o600 });
    await using access = accessOf(site.folder.path);
    await using broker = await startBroker(new TestIntake(), site.folder.join("ruled"), { access });
    const properties = { requestProblemInformation };
    await using client = await RawClient.connect(broker.address, { id: "c", version: 5, properties });
    client.publish("x", "1", { qos: 1, messageId: 1 });
    client.publish("x", "2", { qos: 2, messageId: 2 });
    client.send({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "x", qos: 1 }] });
    client.send({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["x"] });
    client.send({ cmd: "pubrel", messageId: 5 });
    const answers = [];
    for (const cmd of ["puback", "pubrec", "suback", "unsuback", "pubcomp"] as const) answers.push(await client.next(cmd));
    expect(answers[0]).toMatchObject({ reasonCode: 0x87 });
    expect(answers[1]).toMatchObject({ reasonCode: 0x87 });
    expect(answers[2]).toMatchObject({ granted: [0x87] });
    const said = answers.filter(
      (answer) => "properties" in answer && answer.properties !== undefined && "reasonString" in answer.properties,
    );
    expect(said).toHaveLength(requestProblemInformation ? 2 : 0);
  });
});

describe.each([3, 4, 5] as const)("a client above clients_max (version %i)", (protocolVersion) => {
  it("is told so, and may come when another one has left", async () => {
    const { address } = site.broker;
    const others = await Promise.all([1, 2, 3, 4, 5].map((n) => connectClient(address, { clientId: `other-${n}` })));
    const own = { clientId: "c", protocolVersion, ...(protocolVersion === 3 ? { protocolId: "MQIsdp" as const } : {}) };
    await expect(connectClient(address, own)).rejects.toMatchObject({ code: protocolVersion === 5 ? 0x97 : 3 });
    await others[0]?.mqtt.endAsync();
    await eventually(async () => {
      await using late = await connectClient(address, own);
      expect(late.mqtt.connected).toBe(true);
    });
    for (const other of others) await other[Symbol.asyncDispose]();
  });
});
