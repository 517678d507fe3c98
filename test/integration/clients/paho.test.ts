import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import type { Pair } from "../../support/certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { addressOf, type ListenerSite, statsOf } from "../../support/listeners.ts";
import { OtherClientsSite, OVEN } from "../../support/other-clients-site.ts";
import { isMissing, PAHO } from "../../support/other-clients.ts";
import { Paho, type PahoOptions } from "../../support/paho.ts";

const VERSIONS = [3, 4, 5] as const;

function delayed(id: string, WillDelayInterval: number): PahoOptions {
  const will = { topic: `delayed/${id}`, payload: "gone", qos: 1, properties: { WillDelayInterval } } as const;
  return { id, version: 5, properties: { SessionExpiryInterval: 100 }, will };
}

describe.skipIf(isMissing(PAHO))("Paho for Python", () => {
  let all: OtherClientsSite;
  let site: ListenerSite;
  let broker: Broker;
  let press: Pair;

  beforeAll(async () => {
    all = await OtherClientsSite.open();
    ({ site, broker, press } = all);
  });

  afterAll(async () => {
    await all[Symbol.asyncDispose]();
  });

  async function connected(options: PahoOptions, name = "default"): Promise<Paho> {
    const client = new Paho();
    expect(await client.connect(addressOf(broker, name), { ...trusting(name), ...options })).toMatchObject({ code: 0 });
    return client;
  }

  function trusting(name: string): Partial<PahoOptions> {
    if (!/^(?:mqtts|wss):/.test(addressOf(broker, name))) return {};
    return { ca: site.ca.certificate, ...(name.endsWith("mutual") ? press : {}) };
  }

  const names = ["default", "tls", "mutual", "ws", "wss", "wssmutual"];
  it.each(names.flatMap((name) => VERSIONS.map((version) => [name, version] as const)))(
    "publishes and subscribes at %s with version %i, with every QoS and large messages",
    async (name, version) => {
      const topic = `to/${name}/${version}`;
      await using client = await connected({ id: topic, version }, name);
      expect((await client.subscribe(`${topic}/+`, 2)).codes).toEqual([2]);
      const large = "x".repeat(9_000);
      for (const qos of [0, 1, 2] as const) await client.publish(`${topic}/${qos}`, `${qos}${large}`, qos);
      await client.publish(`in/${topic}`, "kept", 1);
      expect(site.intake.texts).toContain(`in/${topic}=kept`);
      const wanted = ([0, 1, 2] as const).map((qos) => ({ topic: `${topic}/${qos}`, text: `${qos}${large}`, qos, retain: false }));
      await eventually(() => expect(client.heard).toEqual(wanted));
    },
  );

  it("does not come in without a certificate where one is required", async () => {
    for (const name of ["mutual", "wssmutual"]) {
      await using client = new Paho();
      const before = statsOf(broker, name).failed;
      const connecting = client.connect(addressOf(broker, name), { id: "none", version: 5, ca: site.ca.certificate });
      connecting.catch(() => undefined); // The handshake of TLS 1.3 is over for the client before the broker has seen that it shows nothing.
      await eventually(() => expect(statsOf(broker, name)).toMatchObject({ failed: before + 1, connections: 0 }));
      expect(broker.clients).toBe(0);
    }
  });

  it.each([
    [3, 4, 5],
    [4, 4, 5],
    [5, 0x86, 0x87],
  ] as const)("comes in by WebSocket with name and password only, with version %i", async (version, bad, unsaid) => {
    await using good = await connected({ id: "good", version, ...OVEN }, "wsknown");
    await good.publish("in/known", `by ${version}`, 2);
    expect(site.intake.texts).toContain(`in/known=by ${version}`);
    for (const [options, code] of [
      [{ ...OVEN, password: "a bad password" }, bad],
      [{}, unsaid],
    ] as const) {
      await using client = new Paho();
      const address = addressOf(broker, "wsknown");
      expect(await client.connect(address, { id: "refused", version, ...options })).toMatchObject({ code });
    }
  });

  it.each(VERSIONS)("leaves a will when it is killed, and none when it goes, with version %i", async (version) => {
    await using heir = await connected({ id: "heir", version: 4 });
    await heir.subscribe(`will/${version}/+`, 1);
    const will = (id: string): PahoOptions => ({ id, version, will: { topic: `will/${version}/${id}`, payload: "gone", qos: 1 } });
    await using polite = await connected(will("polite"));
    await polite.disconnect();
    await using killed = await connected(will("killed"), "ws");
    await killed.kill();
    await eventually(() => expect(heir.heard.map(({ topic }) => topic)).toEqual([`will/${version}/killed`]));
  });

  it("leaves a will when it says so, and after its delay, with version 5", async () => {
    await using heir = await connected({ id: "heir", version: 5 });
    await heir.subscribe("delayed/+", 1);
    await using waits = await connected(delayed("waits", 1));
    await waits.kill();
    await using says = await connected(delayed("says", 0));
    await says.disconnect(4);
    await eventually(() => expect(heir.heard.map(({ topic }) => topic)).toEqual(["delayed/says", "delayed/waits"]));
  });

  it.each(VERSIONS)("takes up a session and gets what waited for it, in order, with version %i", async (version) => {
    const kept = { id: "away", version, clean: false, ...(version === 5 ? { properties: { SessionExpiryInterval: 100 } } : {}) };
    await using before = await connected(kept);
    await before.subscribe(`waits/${version}`, 2);
    await before.disconnect();
    await using publisher = await connected({ id: "publisher", version });
    for (const n of [0, 1, 2, 3]) await publisher.publish(`waits/${version}`, String(n), 2);
    await using back = new Paho();
    expect(await back.connect(broker.address, kept)).toMatchObject({ code: 0, session: version !== 3 }); // 3.1 does not say it.
    await eventually(() => expect(back.heard.map(({ text }) => text)).toEqual(["0", "1", "2", "3"]));
    await back.disconnect();
    await using clean = new Paho();
    expect(await clean.connect(broker.address, { ...kept, clean: true })).toMatchObject({ code: 0, session: false });
  });

  it("shares a subscription, each message for one member", async () => {
    await using first = await connected({ id: "first", version: 4 });
    await using second = await connected({ id: "second", version: 5 }, "ws");
    for (const member of [first, second]) await member.subscribe("$share/group/work", 1);
    await using publisher = await connected({ id: "publisher", version: 5 });
    for (let n = 0; n < 10; n++) await publisher.publish("work", String(n), 1);
    await eventually(() => expect(first.heard.length + second.heard.length).toBe(10));
    expect([...first.heard, ...second.heard].map(({ text }) => text).toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
    expect(Math.min(first.heard.length, second.heard.length)).toBeGreaterThan(0);
  });

  it("gets what is retained by the options of its subscription", async () => {
    await using client = await connected({ id: "retain", version: 5 });
    await client.publish("kept/a", "one", 1, { retain: true });
    for (const [retainHandling, heard] of [
      [2, 0],
      [1, 0], // The subscription is there already.
      [0, 1],
    ] as const) {
      await client.subscribe("kept/+", 1, { options: { retainHandling, retainAsPublished: true } });
      await client.publish(`kept/mark`, "mark", 1);
      await eventually(() => expect(client.heard.at(-1)?.text).toBe("mark"));
      expect(client.heard.filter(({ text, retain }) => text === "one" && retain)).toHaveLength(heard);
    }
    await client.publish("kept/a", "two", 1, { retain: true });
    await eventually(() => expect(client.heard.at(-1)).toEqual({ topic: "kept/a", text: "two", qos: 1, retain: true }));
    await client.publish("kept/a", "", 1, { retain: true });
    await using late = await connected({ id: "late", version: 5 });
    await late.subscribe("kept/+", 1);
    await late.publish("kept/mark", "live", 1);
    await eventually(() => expect(late.heard.map(({ text }) => text)).toEqual(["live"]));
  });

  it("sends and gets properties, identifiers of subscriptions and topic aliases", async () => {
    await using client = await connected({ id: "five", version: 5, properties: { TopicAliasMaximum: 5 } });
    await client.subscribe("with/#", 1, { properties: { SubscriptionIdentifier: 42 } });
    const properties = {
      ContentType: "application/json",
      CorrelationData: "seven",
      PayloadFormatIndicator: 1,
      ResponseTopic: "answers/1",
      UserProperty: [
        ["site", "milan"],
        ["site", "oslo"],
      ],
    };
    await client.publish("with/alias", "first", 1, { properties: { ...properties, TopicAlias: 3 } });
    await client.publish("", "second", 1, { properties: { TopicAlias: 3 } });
    await eventually(() => expect(client.heard).toHaveLength(2));
    expect(client.properties[0]).toEqual({ ...properties, SubscriptionIdentifier: [42], TopicAlias: 1 });
    // Paho leaves it to its user to know which topic an alias stands for.
    expect(client.heard[1]).toMatchObject({ topic: "", text: "second" });
    expect(client.properties[1]).toEqual({ SubscriptionIdentifier: [42], TopicAlias: 1 });
  });

  it("gets no message of its own with no-local, and what has not expired with the time that is left", async () => {
    await using client = await connected({ id: "own", version: 5 });
    await client.subscribe("own", 1, { options: { noLocal: true } });
    await using other = await connected({ id: "other", version: 5 });
    await client.publish("own", "mine", 1);
    await other.publish("own", "theirs", 1, { properties: { MessageExpiryInterval: 1_000 } });
    await eventually(() => expect(client.heard.map(({ text }) => text)).toEqual(["theirs"]));
    const left = Number(client.properties[0]?.["MessageExpiryInterval"]);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(1_000);
  });

  it("asks another, and gets the answer", async () => {
    await using asker = await connected({ id: "asker", version: 5 }, "ws");
    await using responder = await connected({ id: "responder", version: 5 });
    await responder.subscribe("ask", 1);
    await asker.subscribe("answers/asker", 1);
    await asker.publish("ask", "the time", 1, { properties: { ResponseTopic: "answers/asker", CorrelationData: "c1" } });
    await eventually(() => expect(responder.heard).toHaveLength(1));
    const { ResponseTopic: topic, CorrelationData } = responder.properties[0] ?? {};
    await responder.publish(String(topic), "seven", 1, { properties: { CorrelationData } });
    await eventually(() => expect(asker.heard.map(({ text }) => text)).toEqual(["seven"]));
    expect(asker.properties[0]).toEqual({ CorrelationData: "c1" });
  });

  it("is told why it has to go, and goes when another takes its place", async () => {
    await using gone = await connected({ id: "gone", version: 5 });
    expect(broker.connections.disconnect("gone")).toBe(true);
    expect(await gone.disconnected).toBe(0x98);
    await using first = await connected({ id: "twice", version: 5 });
    await using second = await connected({ id: "twice", version: 5 });
    expect(await first.disconnected).toBeGreaterThan(0);
    await second.publish("in/twice", "here", 1);
    expect(site.intake.texts).toContain("in/twice=here");
  });
});
