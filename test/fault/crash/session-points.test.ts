import { expect, it, vi } from "vitest";
import type { Packet } from "mqtt-packet";
import { eventually } from "../../support/eventually.ts";
import { RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { TempFolder } from "../../support/temp-folder.ts";
import { SessionRecorder } from "./session-recorder.ts";

/**
 * The invariant: whenever the broker is killed, before, in and after every write to the database of its sessions, afterwards
 *
 *   a session that was acknowledged is there, with what it subscribed to;
 *   every message that was acknowledged and that the session's client has not taken comes, those of a topic in order;
 *   a packet id whose message is done with carries a new one, at QoS 2 too;
 *   a retained message is the last acknowledged one, or one that was sent later.
 */
const AT_ONCE = 3;
const WAIT = { interval: 5 };
const TOPICS = { 1: "plain/one", 2: "plain/two" } as const;
const AWAY = { id: "away", clean: false } as const;
const PUBLISHER = { id: "publisher", clean: false } as const;

interface Crash {
  readonly what: string;
  readonly writes: readonly number[];
  readonly told: ReadonlySet<string>;
}

/** At each moment: nothing that is on its way to the disk has got there; and, when a write begins, all of it has. */
function crashes({ moments }: SessionRecorder): Crash[] {
  const all: Crash[] = [];
  const done = new Set<number>();
  const told = new Set<string>();
  const add = (what: string, writes: Iterable<number>): void =>
    void all.push({ what, writes: [...writes].toSorted((one, other) => one - other), told: new Set(told) });
  for (const moment of moments) {
    if (moment.kind === "told") told.add(moment.what);
    else if (moment.kind === "ended") done.add(moment.write);
    if (moment.kind === "started") add(`in write ${moment.write}`, [...done, moment.write]);
    else add(`after ${moment.kind === "told" ? moment.what : `write ${moment.write}`}`, done);
  }
  return all;
}

const named = (qos: 1 | 2, n: number): string => `${qos}:${n}`;

/** Publishes, and goes through with what QoS 2 asks for. */
async function publish(client: RawClient, qos: 1 | 2, n: number, more: { dup?: boolean } = {}): Promise<void> {
  client.publish(TOPICS[qos], named(qos, n), { qos, messageId: n, ...more });
  await client.next(qos === 1 ? "puback" : "pubrec");
}

async function release(client: RawClient, n: number): Promise<void> {
  client.send({ cmd: "pubrel", messageId: n });
  await client.next("pubcomp");
}

/** Takes what comes, and says what has been taken when the broker may know it. */
function take(client: RawClient, taken: (name: string) => void): void {
  client.onPacket = (packet: Packet) => {
    if (packet.cmd === "pubrel") client.send({ cmd: "pubcomp", messageId: packet.messageId ?? 0 });
    if (packet.cmd !== "publish") return;
    taken(packet.payload.toString());
    if (packet.qos > 0) client.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId: packet.messageId ?? 0 });
  };
}

async function subscribe(client: RawClient): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: Object.values(TOPICS).map((topic) => ({ topic, qos: 2 })) });
  await client.next("suback");
}

/** A session that is subscribed, away, there, and away again, while messages come. */
async function play(address: string, tell: (what: string) => void): Promise<void> {
  {
    await using away = await RawClient.connect(address, AWAY);
    await subscribe(away);
    tell("subscribed");
  }
  await using publisher = await RawClient.connect(address, PUBLISHER);
  const send = async (qos: 1 | 2, n: number): Promise<void> => {
    tell(`sent ${named(qos, n)}`);
    await publish(publisher, qos, n);
    tell(`acknowledged ${named(qos, n)}`);
    if (qos === 1) return;
    await release(publisher, n);
    tell(`released ${named(qos, n)}`);
  };
  const keep = async (n: number): Promise<void> => {
    tell(`sent kept ${n}`);
    publisher.publish("plain/kept", String(n), { qos: 1, messageId: 100 + n, retain: true });
    await publisher.next("puback");
    tell(`kept ${n}`);
  };
  const both = async (n: number): Promise<void> => {
    await send(1, n);
    await send(2, n);
  };
  await both(1);
  await keep(1);
  await both(2);
  {
    await using away = await RawClient.connect(address, AWAY);
    const seen = new Set<string>();
    take(away, (name) => {
      seen.add(name);
      tell(`taken ${name}`);
    });
    await both(3);
    await both(4);
    await eventually(() => expect(seen.size).toBe(8));
    await away.ping();
  }
  await both(5);
  await keep(2);
}

/** What is wrong after a crash, one sentence each. */
async function recover(recorder: SessionRecorder, { what, writes, told }: Crash): Promise<string[]> {
  await using folder = await TempFolder.make();
  await recorder.rebuild(folder.join("sessions"), writes);
  await using broker = await startBroker(new TestIntake(), folder.path);
  await using away = await RawClient.connect(broker.address, AWAY);
  const came: string[] = [];
  take(away, (name) => came.push(name));
  if (!told.has("subscribed")) await subscribe(away);
  await using publisher = await RawClient.connect(broker.address, PUBLISHER);
  const again = await goOn(publisher, told);
  // Behind everything else on their topics.
  for (const qos of [1, 2] as const) await publish(publisher, qos, 9);
  await release(publisher, 9);
  const due = [...told].flatMap((one) => (one.startsWith("acknowledged ") ? [one.slice("acknowledged ".length)] : []));
  const missing = (): string[] =>
    [...due, ...again, named(1, 9), named(2, 9)].filter((name) => !came.includes(name) && !told.has(`taken ${name}`));
  await vi.waitUntil(() => missing().length === 0, WAIT).catch(() => undefined); // The names of what is missing say more.
  const problems = missing().map((name) => `${what}: ${name} does not come`);
  for (const qos of [1, 2] as const) {
    const firsts = [...new Set(came)].filter((name) => name.startsWith(`${qos}:`) && !again.includes(name));
    if (firsts.join() !== firsts.toSorted().join()) problems.push(`${what}: they come as ${firsts.join(", ")}`);
  }
  return [...problems, ...(await wrongKept(broker.address, told)).map((problem) => `${what}: ${problem}`)];
}

/** The publisher does what MQTT asks of it: sends again what was not acknowledged, releases what was, and then uses an id again. */
async function goOn(publisher: RawClient, told: ReadonlySet<string>): Promise<string[]> {
  const again: string[] = [];
  for (let n = 1; n <= 5; n++) {
    for (const qos of [1, 2] as const) {
      const name = named(qos, n);
      if (!told.has(`sent ${name}`)) continue;
      if (!told.has(`acknowledged ${name}`)) {
        await publish(publisher, qos, n, { dup: true });
        again.push(name);
      }
      if (qos === 2 && !told.has(`released ${name}`)) await release(publisher, n);
    }
  }
  publisher.publish(TOPICS[2], "2:8", { qos: 2, messageId: 1 });
  await publisher.next("pubrec");
  await release(publisher, 1);
  return [...again, "2:8"];
}

async function wrongKept(address: string, told: ReadonlySet<string>): Promise<string[]> {
  const acknowledged = told.has("kept 2") ? 2 : told.has("kept 1") ? 1 : 0;
  await using later = await RawClient.connect(address, { id: "later" });
  later.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "plain/kept", qos: 0 }] });
  await later.next("suback");
  const found = (): number => later.received.flatMap((one) => (one.cmd === "publish" ? [Number(one.payload.toString())] : []))[0] ?? 0;
  await vi.waitUntil(() => found() >= acknowledged, WAIT).catch(() => undefined); // Said below.
  const isRight = found() >= acknowledged && (found() === 0 || told.has(`sent kept ${found()}`));
  return isRight ? [] : [`${found()} is retained, not ${acknowledged}`];
}

it("keeps what it has said of sessions through a crash before, in and after every write", { timeout: 300_000 }, async () => {
  await using folder = await TempFolder.make();
  using recorder = new SessionRecorder();
  {
    await using broker = await startBroker(new TestIntake(), folder.path);
    await play(broker.address, (what) => recorder.tell(what));
  }
  const waiting = crashes(recorder);
  recorder[Symbol.dispose]();
  const problems: string[] = [];
  const work = async (): Promise<void> => {
    for (let crash = waiting.pop(); crash !== undefined && problems.length === 0; crash = waiting.pop()) {
      problems.push(...(await recover(recorder, crash)));
    }
  };
  expect(waiting.filter(({ what }) => what.startsWith("in write")).length).toBeGreaterThan(25);
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(problems).toEqual([]);
});
