import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectClient, RawClient, startBroker, TestIntake } from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";
import { TempFolder } from "../support/temp-folder.ts";
import { type BrokerProcess, startBrokerProcess } from "./broker-process.ts";

/**
 * The invariant: what waits in the session of a member of a group that ends goes to the other member, each message once and in its order, also when the
 * broker is killed while it is given away. `reached` is how many the other member has been sent by the kill.
 */
const MESSAGES = 4_000;
const FILTER = "$share/g/in";
const GIVER = { id: "giver", version: 5, clean: false } as const;

let folder: TempFolder;
let killed: BrokerProcess;

beforeEach(async () => {
  folder = await TempFolder.make();
  killed = await startBrokerProcess(folder.path);
});

afterEach(async () => {
  await killed.kill();
  await folder[Symbol.asyncDispose]();
});

/** Leaves everything in the queue of the giver, which is away. */
async function fill(): Promise<void> {
  await using giver = await RawClient.connect(killed.address, GIVER);
  giver.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: FILTER, qos: 1 }] });
  await giver.next("suback");
  await giver[Symbol.asyncDispose]();
  await using publisher = await RawClient.connect(killed.address, { id: "publisher" });
  for (let n = 1; n <= MESSAGES; n++) publisher.publish("in", String(n), { qos: 1, messageId: n });
  await eventually(() => expect(publisher.received).toHaveLength(MESSAGES));
}

/** A member that never acknowledges; the broker is killed when it has been sent so many. */
async function take(reached: number): Promise<RawClient> {
  const taker = await RawClient.connect(killed.address, { id: "taker", version: 5, clean: false });
  let sent = 0;
  taker.onPacket = ({ cmd }) => {
    if (cmd === "publish" && ++sent === reached) void killed.kill();
  };
  taker.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: FILTER, qos: 1 }] });
  await taker.next("suback");
  return taker;
}

/** What somebody hears in the end, with what is sent again left out when it was heard already. */
async function heardBy(address: string, clientId: string, count: number): Promise<readonly number[]> {
  await using client = await connectClient(address, {
    clientId,
    clean: false,
    protocolVersion: 5,
    properties: { sessionExpiryInterval: 1_000 },
  });
  await eventually(() => expect(client.heard.length).toBeGreaterThanOrEqual(count));
  return client.heard.map((line) => Number(line.slice("in=".length)));
}

const ALL = Array.from({ length: MESSAGES }, (_, index) => index + 1);

describe.each([1, 300, 2_000])("with %i messages given away at the kill", (reached) => {
  it("a session that its client begins anew keeps the rest, and both have everything once", async () => {
    await fill();
    await using taker = await take(reached);
    await RawClient.connect(killed.address, { ...GIVER, clean: true }).catch(() => undefined);
    await taker.ended();
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    expect(broker.stored).toMatchObject({ queuedMessages: MESSAGES });
    const left = broker.connections.sessionsAway({ limit: 10 });
    const counts = Object.fromEntries(left.map(({ id, queued }) => [id, queued]));
    const kept = await heardBy(broker.address, "giver", counts["giver"] ?? 0);
    const given = await heardBy(broker.address, "taker", counts["taker"] ?? 0);
    expect(given.length).toBeGreaterThanOrEqual(reached);
    expect([...given, ...kept]).toEqual(ALL);
  });

  it("the rest of a session that is over goes to the other member after the next start", async () => {
    await fill();
    await using taker = await take(reached);
    // It is sent one message, and its session ends with this connection.
    const giver = await RawClient.connect(killed.address, { ...GIVER, expiry: 0, properties: { receiveMaximum: 1 } });
    giver.socket.destroy();
    await taker.ended();
    await killed.kill();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await eventually(() => expect(broker.connections.sessionsAway({ limit: 10 })).toMatchObject([{ id: "taker", queued: MESSAGES }]));
    expect(await heardBy(broker.address, "taker", MESSAGES)).toEqual(ALL);
    await eventually(() => expect(broker.stored).toMatchObject({ queuedMessages: 0, queuedBytes: 0 }));
  });
});
