import { describe, expect, it } from "vitest";
import type { StoredPacket } from "../../../src/broker/copies.ts";
import { filterOfKey, keyOfFilter } from "../../../src/broker/filters.ts";
import { type Choice, SharedGroups } from "../../../src/broker/shared/groups.ts";

const KEY = keyOfFilter("$share/g/a/+");

function packet(qos: 0 | 1 | 2 = 1, topic = "a/b"): StoredPacket {
  return { cmd: "publish", topic, payload: Buffer.from("x"), qos, retain: false, dup: false, brokerId: "g", brokerCounter: 1 };
}

class Members {
  readonly groups = new SharedGroups();
  readonly kept: string[] = [];
  readonly handed: string[] = [];
  readonly removed: string[] = [];
  #number = 100;

  constructor() {
    this.groups.connect({
      number: () => ++this.#number,
      keep: async ({ clientId }, others) => void this.kept.push([clientId, ...others.map(({ key }) => key)].join(" ")),
      write: async (writes) => void this.removed.push(...writes.map(({ key }) => key)),
      hand: async ({ clientId }) => void this.handed.push(clientId),
    });
  }

  /** Answers with what makes the member leave. */
  connect(id: string, state: { isReady?: boolean; hasRoom?: boolean } = {}, key = KEY): () => void {
    const listener = (): void => void this.handed.push(`to ${id}`);
    const { isReady = true, hasRoom = true } = state;
    this.groups.join(key, { client: { id, subscriptions: { [key]: { func: listener } } }, forwarder: { isReady, hasRoom: () => hasRoom } });
    this.groups.listen(key, listener);
    return () => this.groups.leave(key, listener);
  }

  next(qos: 0 | 1 | 2 = 1): string | undefined {
    return this.groups.choices(packet(qos))[0]?.clientId;
  }
}

function ids(choices: readonly Choice[]): string[] {
  return choices.map(({ clientId }) => clientId);
}

describe("the member that gets a message", () => {
  it("is the next one in turn that is connected and has room", () => {
    const members = new Members();
    members.connect("a");
    members.connect("full", { hasRoom: false });
    members.connect("b");
    members.connect("new", { isReady: false });
    expect(Array.from({ length: 4 }, () => members.next())).toEqual(["a", "b", "a", "b"]);
  });

  it("is one without room when no other is connected, in turn too", () => {
    const members = new Members();
    for (const id of ["a", "b"]) members.connect(id, { hasRoom: false });
    members.groups.store("away", KEY);
    expect(Array.from({ length: 3 }, () => members.next())).toEqual(["a", "b", "a"]);
  });

  it("is a stored session when none is connected, for messages that may wait", () => {
    const members = new Members();
    for (const id of ["a", "b"]) members.groups.store(id, KEY);
    members.connect("new", { isReady: false });
    expect(members.next(0)).toBeUndefined();
    const [first, second, third] = [members.next(), members.next(2), members.next()];
    expect(new Set([first, second])).toEqual(new Set(["a", "b"]));
    expect(third).toBe(first);
  });

  it("is the same however often it is asked for, with a place of its own in each queue", () => {
    const members = new Members();
    members.connect("a");
    members.connect("b");
    members.connect("a", {}, keyOfFilter("$share/h/#"));
    const sent = packet();
    const choices = members.groups.choices(sent);
    expect(ids(choices).toSorted()).toEqual(["a", "a"]);
    expect(members.groups.choices(sent)).toBe(choices);
    expect(new Set(choices.map((choice) => choice.packet.brokerCounter)).size).toBe(2);
  });
});

it("a message is written into the queue of a member whose session is stored, and of no other", async () => {
  const members = new Members();
  members.groups.store("stored", KEY);
  await members.groups.redeliver({ ...packet(), shared: KEY });
  expect(members.kept).toEqual(["stored"]);
  members.connect("here");
  await members.groups.redeliver({ ...packet(), shared: KEY });
  await members.groups.move({ ...packet(), shared: KEY }, { client: "here", removal: [{ type: "del", key: "from-here" }] });
  await members.groups.redeliver({ ...packet(), shared: keyOfFilter("$share/nobody/a") });
  expect(members.kept).toEqual(["stored", "stored from-here"]);
  expect(members.handed).toEqual(["stored", "here", "stored"]);
  expect(members.removed).toEqual([]);
});

it("a message leaves the queue that it was in when it is with a member that has none, or when there is no other member", async () => {
  const members = new Members();
  const removal = [{ type: "del", key: "gone" }] as const;
  members.groups.store("gone", KEY);
  await members.groups.move({ ...packet(), shared: KEY }, { client: "gone", removal });
  expect([members.kept, members.handed, members.removed]).toEqual([[], [], ["gone"]]);
  members.connect("here");
  await members.groups.move({ ...packet(), shared: KEY }, { client: "gone", removal });
  expect([members.kept, members.handed, members.removed]).toEqual([[], ["here"], ["gone", "gone"]]);
});

it("there is nothing to be looked at when the last member has gone", () => {
  const members = new Members();
  const leave = members.connect("a");
  members.groups.store("b", KEY);
  expect([members.groups.size, members.groups.wants("a/b"), members.groups.keeps("a/b"), members.groups.keeps("b")]).toEqual([
    1,
    true,
    true,
    false,
  ]);
  leave();
  members.groups.unstore("b", KEY);
  expect([members.groups.size, members.groups.wants("a/b"), members.groups.choices(packet())]).toEqual([0, false, []]);
});

it("the filter of a group is what is behind its name", () => {
  expect(filterOfKey(KEY)).toBe("a/+");
  expect(filterOfKey(keyOfFilter("a/$share/b"))).toBe("a/$share/b");
});
