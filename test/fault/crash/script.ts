import { Cursor } from "../../../src/core/cursor.ts";
import type { OutboxRule } from "../../../src/core/outbox-rules.ts";
import { commit, commitOf, entryOf } from "../../support/journal.ts";
import { type CrashGateway, VOLATILE_KEY } from "./gateway.ts";
import { LANE_TYPE } from "./lanes.ts";
import type { Sent } from "./moments.ts";

/**
 * What happens to the gateway while its writes are recorded: every kind of write, alone and together with others. Events reach the cloud
 * while nothing behind them is synced yet.
 */
export async function play(gateway: CrashGateway): Promise<void> {
  for (const name of ["counting", "relayed", "heard", "ticking", "gathering", "resting"]) await gateway.desire(name, 1);
  gateway.runtime.begin();
  gateway.pass(1);
  await gateway.send(message("one", "a"));
  await gateway.drained();
  const [first, second] = [message("first", "a", { packetId: 1 }), message("second", "b", { packetId: 2 })];
  await Promise.all([gateway.send(first), gateway.send(second), gateway.send(message("two", "b", { deaf: true }))]);
  await gateway.release(first);
  await gateway.send(message("third", "a", { packetId: 1 }));
  await gateway.drained();
  gateway.pass(3);
  await behind(gateway);
  await woken(gateway);
  await gateway.release(second);
  await gateway.send(message("light", VOLATILE_KEY, { kind: "volatile" }));
  await gateway.stored("light");
  // The next version takes over while messages of the one before wait for it.
  const sending = ["four", "five", "six"].map((name) => gateway.send(message(name, "b")));
  await gateway.desire("counting", 2);
  await Promise.all(sending);
  await gateway.desire("resting", 0);
  gateway.pass(2);
  await gateway.drained();
  await trimming(gateway, async () => {
    for (const name of ["seven", "eight", "nine"]) await gateway.send(message(name, "c"));
    await gateway.drained();
  });
  await gateway.send(message("last", "a", { packetId: 2 }));
  await gateway.drained();
  await gateway.journal.trim(gateway.runtime.floor);
  await letters(gateway);
  await fleeting(gateway);
  await lanes(gateway);
  await gateway.journal.history.put("hours", [{ time: 1, name: "probe", value: "{}" }], 0);
  await expiring(gateway);
}

/**
 * The first volatile messages come from a function, and the cloud knows what came of them while nothing of it is synced. So many that, were their
 * seqs handed out again, those for `relayed` would be among them.
 */
async function woken(gateway: CrashGateway): Promise<void> {
  const names = ["1", "2", "3", "4", "5", "6", "7", "8"].map((number) => `woken-${number}`);
  const derived = names.map((name) => ({ ...entryOf(`mid/${VOLATILE_KEY}`, name, { time: Date.now() }), volatile: true as const }));
  await commit(gateway.journal, commitOf("probe", new Cursor(1), { derived }));
  for (const name of names) await gateway.stored(name);
}

/** An event that has expired before anyone can send it. */
async function fleeting({ journal }: CrashGateway): Promise<void> {
  const rule = { priority: 0, overflow: "block", ttlMs: 0 } as const;
  const event = { id: "g:1:probe:0", function: "probe", version: 1, type: "probe", subject: "probe", time: 1, data: "0", rule };
  await commit(journal, commitOf("probe", new Cursor(1), { events: [event] }));
  await journal.outbox.sweep();
}

/** State that has expired is deleted, some of it while other values take its place. */
async function expiring({ journal }: CrashGateway): Promise<void> {
  const brief = Buffer.from([1, 0, 0, 0, 0, 0, 1, 49]);
  const state = ["a", "b"].map((name) => ({ key: "k", name, value: brief, due: 1 }));
  await commit(journal, commitOf("probe", new Cursor(1), { state }));
  const step = journal.expiry.step("probe", 1);
  await commit(journal, commitOf("probe", new Cursor(1), { state: [{ key: "k", name: "b", value: Buffer.from("2") }] }));
  await step;
}

/** Without a link more comes into lanes than they have room for; with it the cloud takes some of it while more comes. */
async function lanes(gateway: CrashGateway): Promise<void> {
  let seq = 1;
  const emit = (priority: number, overflow: OutboxRule["overflow"], subject: string): Promise<void> => {
    const id = `g:${++seq}:probe:0`;
    const data = JSON.stringify("x".repeat(250));
    const event = { id, function: "probe", version: 1, type: LANE_TYPE, subject, time: 1, data, rule: { priority, overflow } };
    return commit(gateway.journal, commitOf("probe", new Cursor(1), { events: [event] }));
  };
  gateway.link(false);
  for (const subject of ["a", "b", "a"]) await emit(2, "keep-latest", subject);
  for (const subject of ["a", "b", "c", "d", "e"]) await emit(1, "drop-oldest", subject);
  gateway.link(true);
  await Promise.all(["f", "g", "h", "i"].map((subject) => emit(1, "drop-oldest", subject)));
  await Promise.all(["b", "b"].map((subject) => emit(2, "keep-latest", subject)));
  await gateway.drained();
}

/** A person deletes what another function has given up. */
async function letters({ journal }: CrashGateway): Promise<void> {
  const letter = { seq: 1, function: "probe", version: 1, topic: "t", time: 1, attempts: 1, code: "C", error: "E", payload: "" };
  await commit(journal, commitOf("probe", new Cursor(1), { deadLetters: [letter] }));
  await journal.clearDeadLetters("probe");
}

/** Functions that do not get on: what is in the journal has to stay there, also when it is trimmed. */
async function behind(gateway: CrashGateway): Promise<void> {
  const names = ["counting", "relayed", "resting"];
  for (const name of names) gateway.runtime.hold(name, true);
  await gateway.send(message("bad", "b", { kind: "bad" }));
  await gateway.send(message("flaky", "c", { kind: "flaky" }));
  await gateway.send(message("three", "c"));
  await gateway.journal.trim(gateway.runtime.floor);
  for (const name of names) gateway.runtime.hold(name, false);
  await gateway.drained();
  await gateway.journal.trim(gateway.runtime.floor);
}

/** Trims over and over while `work` is done, so also between the handling of a message and the write of what came of it. */
async function trimming(gateway: CrashGateway, work: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const done = work().finally(() => over.abort());
  while (!over.signal.aborted) {
    await gateway.journal.trim(gateway.runtime.floor);
    await new Promise(setImmediate);
  }
  await done;
}

/** After the crash: the senders send again what was not acknowledged, as MQTT tells them to, and something new. */
export async function goOn(gateway: CrashGateway): Promise<void> {
  const { sent, acknowledged, released } = gateway.outside;
  const open = [...sent];
  for (const name of ["counting", "relayed", "heard", "ticking", "gathering"])
    if (!gateway.outside.desired.has(name)) await gateway.desire(name, 1);
  for (const one of open.filter(({ kind }) => kind !== "volatile")) {
    if (!acknowledged.has(one.name)) await gateway.resend(one);
    if (one.packetId !== undefined && !released.has(one.name)) await gateway.release(one);
  }
  const fresh = [message("new-a", "a", { packetId: 1 }), message("new-b", "b", { packetId: 2 }), message("new-c", "c")];
  gateway.pass(2);
  await Promise.all(fresh.map((one) => gateway.send(one)));
  await gateway.drained();
  await gateway.flushed();
}

function message(name: string, key: string, more: Partial<Sent> = {}): Sent {
  return { name, key, kind: "plain", ...more };
}
