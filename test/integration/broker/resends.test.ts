import { describe, expect, it } from "vitest";
import { Resends, type ResendingClient } from "../../../src/broker/resends.ts";
import { eventually } from "../../support/eventually.ts";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

/** Syncs of the sessions that are not done yet, while `holdingSyncs` is set. */
const heldSyncs: (() => void)[] = [];
let holdingSyncs = false;

const synced = (): Promise<void> => (holdingSyncs ? new Promise((resolve) => heldSyncs.push(resolve)) : Promise.resolve());

const site = brokerForEach({ synced });

const ids = (client: RawClient): (number | undefined)[] =>
  client.received.flatMap((packet) => (packet.cmd === "puback" ? [packet.messageId] : []));

const texts = (client: RawClient): string[] =>
  client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));

async function gone(): Promise<void> {
  await eventually(() => expect(site.broker.clients).toBe(0));
}

describe.each([4, 5] as const)("a QoS 1 message that is sent again before its PUBACK, in MQTT version %i,", (version) => {
  it("counts once on the same connection, and both copies are acknowledged", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    site.intake.holding = true;
    client.publish("in/a", "1", { qos: 1, messageId: 7 });
    client.publish("in/a", "1", { qos: 1, messageId: 7, dup: true });
    await eventually(() => expect(site.broker.counters.received).toBe(2));
    expect(site.intake.held).toHaveLength(1);
    expect(ids(client)).toEqual([]);
    site.intake.held[0]?.();
    await eventually(() => expect(ids(client)).toEqual([7, 7]));
    expect(site.intake.texts).toEqual(["in/a=1"]);
  });

  it.each(["journaled", "being journaled"])("counts once when the session is resumed, with the message %s", async (when) => {
    site.intake.holding = true;
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish("in/a", "1", { qos: 1, messageId: 7 });
      await eventually(() => expect(site.intake.held).toHaveLength(1));
    }
    await gone();
    if (when === "journaled") site.intake.held[0]?.();
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    client.publish("in/a", "1", { qos: 1, messageId: 7, dup: true });
    client.publish("in/a", "2", { qos: 1, messageId: 8, dup: true });
    await eventually(() => expect(site.broker.counters.received).toBeGreaterThanOrEqual(2));
    if (when !== "journaled") site.intake.held[0]?.();
    await eventually(() => expect(site.intake.held).toHaveLength(2));
    site.intake.held[1]?.();
    await eventually(() => expect(ids(client)).toEqual([7, 8]));
    expect(site.intake.texts).toEqual(["in/a=1", "in/a=2"]);
  });

  it.each(["in/a", "out/a"])("reaches sessions at once when its publisher is gone, and not again (%s)", async (topic) => {
    await using kept = await RawClient.connect(site.broker.address, { id: "kept", version, clean: false });
    kept.onPacket = ({ cmd, messageId }) => {
      if (cmd === "publish" && messageId !== undefined) kept.send({ cmd: "puback", messageId });
    };
    kept.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
    await kept.next("suback");
    [site.intake.holding, holdingSyncs] = [true, true];
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish(topic, "1", { qos: 1, messageId: 7 });
      await eventually(() => expect(site.intake.held.length + heldSyncs.length).toBe(1));
    }
    await eventually(() => expect(site.broker.clients).toBe(1));
    [site.intake.holding, holdingSyncs] = [false, false];
    for (const answer of [...site.intake.held.splice(0), ...heldSyncs.splice(0)]) answer();
    await eventually(() => expect(texts(kept)).toEqual(["1"]));
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    // What functions want is recognized; what is only brokered is another message after its connection was lost.
    if (topic === "in/a") {
      client.publish(topic, "1", { qos: 1, messageId: 7, dup: true });
      await client.next("puback");
    }
    client.publish(topic, "2", { qos: 1, messageId: 8 });
    await client.next("puback");
    await eventually(() => expect(texts(kept)).toEqual(["1", "2"]));
    await kept.ping();
    await kept[Symbol.asyncDispose]();
    await using back = await RawClient.connect(site.broker.address, { id: "kept", version, clean: false });
    await back.ping();
    expect(texts(back)).toEqual([]);
  });

  it("is another message after its PUBACK was sent, whatever DUP says, and without DUP in any case", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    client.publish("in/a", "1", { qos: 1, messageId: 7 });
    await client.next("puback");
    client.publish("in/a", "2", { qos: 1, messageId: 7, dup: true });
    await client.next("puback");
    site.intake.holding = true;
    client.publish("in/a", "3", { qos: 1, messageId: 7 });
    client.publish("in/a", "4", { qos: 1, messageId: 7 });
    await eventually(() => expect(site.intake.held).toHaveLength(2));
    for (const answer of site.intake.held) answer();
    expect(site.intake.texts).toEqual(["in/a=1", "in/a=2", "in/a=3", "in/a=4"]);
  });

  it("is another message when the session has ended in between", async () => {
    site.intake.holding = true;
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: true });
      client.publish("in/a", "1", { qos: 1, messageId: 7 });
      await eventually(() => expect(site.intake.held).toHaveLength(1));
    }
    await gone();
    site.intake.held[0]?.();
    site.intake.holding = false;
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: true });
    client.publish("in/a", "1", { qos: 1, messageId: 7, dup: true });
    await client.next("puback");
    expect(site.intake.texts).toEqual(["in/a=1", "in/a=1"]);
  });

  it("is another message when its session ended with a connection that is taken over", async () => {
    const rounds = 10;
    for (let round = 0; round < rounds; round++) {
      site.intake.holding = true;
      await using before = await RawClient.connect(site.broker.address, { id: "c", version, clean: true });
      before.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "x/#", qos: 1 }] });
      await before.next("suback");
      before.publish("in/a", String(round), { qos: 1, messageId: 7 });
      await eventually(() => expect(site.intake.held).toHaveLength(1));
      // In every other round its end and the connection that follows it come at the same moment.
      if (round % 2 === 0) before.socket.destroy();
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish("in/a", String(round), { qos: 1, messageId: 7, dup: true });
      await eventually(() => expect(site.intake.held).toHaveLength(2));
      site.intake.holding = false;
      for (const answer of site.intake.held.splice(0)) answer();
      await client.next("puback");
    }
    expect(site.intake.texts).toEqual(Array.from({ length: rounds }, (_, round) => [`in/a=${round}`, `in/a=${round}`]).flat());
  });

  it("is taken when it could not be journaled the first time", async () => {
    site.intake.failing = new Error("the disk is full");
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish("in/a", "1", { qos: 1, messageId: 7 });
      await client.ended();
    }
    site.intake.failing = undefined;
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    client.publish("in/a", "1", { qos: 1, messageId: 7, dup: true });
    await client.next("puback");
    expect(site.intake.texts).toEqual(["in/a=1"]);
  });
});

const lost = (id: string): ResendingClient => ({
  id,
  clean: false,
  connecting: false,
  connected: false,
  closed: true,
  conn: { writable: false },
});

function take(resends: Resends, id: string, messageId: number, dup: boolean, payload = "same"): string[] {
  const seen: string[] = [];
  resends.take(
    { client: lost(id), packet: { messageId, dup, topic: "in/a", payload } },
    (done) => {
      seen.push("appended");
      done();
    },
    (_error, duplicate) => seen.push(duplicate === true ? "known" : "new"),
  );
  return seen;
}

describe("what is remembered of messages without a PUBACK", () => {
  it("knows a message by its content too: a device that lost its memory uses the packet id for another one", () => {
    const resends = new Resends(3);
    expect(take(resends, "c", 1, false, "before the power failed")).toEqual(["appended", "new"]);
    expect(take(resends, "c", 1, true, "another message")).toEqual(["appended", "new"]);
    expect(take(resends, "c", 1, true, "another message")).toEqual(["known"]);
  });

  it("is bounded for each session, the oldest goes first, and is gone with the session", () => {
    const resends = new Resends(3);
    for (const id of [1, 2, 3, 4]) expect(take(resends, "c", id, false)).toEqual(["appended", "new"]);
    expect(resends.ids).toBe(3);
    expect(take(resends, "c", 4, true)).toEqual(["known"]);
    expect(take(resends, "c", 1, true)).toEqual(["appended", "new"]);
    expect(take(resends, "d", 1, false)).toEqual(["appended", "new"]);
    resends.clear("c");
    expect(resends.ids).toBe(1);
    expect(take(resends, "c", 4, true)).toEqual(["appended", "new"]);
    expect(take(resends, "d", 1, true)).toEqual(["known"]);
  });
});
