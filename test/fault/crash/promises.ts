import type { CrashGateway } from "./gateway.ts";
import { LANE_TYPE } from "./lanes.ts";
import type { Outside } from "./moments.ts";

/** What of the promises is broken, one sentence each; `before` is what the world outside knew when the crash came. */
export async function broken(gateway: CrashGateway, before: Outside): Promise<string[]> {
  const problems: string[] = [];
  const expect = (holds: boolean, text: string): void => {
    if (!holds) problems.push(text);
  };
  const { sent, cloud, delivered } = gateway.outside;
  const events = [...cloud.values()].map(({ type, subject, data }) => ({ type, subject, data: JSON.parse(data) as unknown }));
  const seen = new Map<string, string[]>();
  for (const key of ["a", "b", "c"]) seen.set(key, await stateOf(gateway, key));
  const dead = (await gateway.journal.deadLetters("counting", 100)).map(({ payload }) => nameIn(payload));

  for (const { name, key, kind, packetId } of sent) {
    if (kind === "volatile") continue;
    const times = (kind === "bad" ? dead : (seen.get(key) ?? [])).filter((other) => other === name).length;
    // What is given up was not handled, so its idempotency key is not known: sent again at QoS 1, it is given up again.
    const most =
      kind === "bad" && packetId === undefined && !before.acknowledged.has(name) && before.sent.some((other) => other.name === name)
        ? 2
        : 1;
    expect(times >= 1 && times <= most, `"${name}" counts ${times} times`);
    expect(kind === "bad" || delivered.includes(name), `"${name}" was not delivered to local subscribers`);
  }
  for (const [key, names] of seen) {
    const firsts = [...new Set(names)].filter((name) => !name.startsWith("new"));
    const order = sent.filter((one) => one.key === key && one.kind !== "bad").map(({ name }) => name);
    const due = order.filter((name) => firsts.includes(name) && !resent(name, before));
    expect(
      same(
        firsts.filter((name) => due.includes(name)),
        due,
      ),
      `key ${key} was handled in the order ${names.join(", ")}`,
    );
    const counted = events.filter((event) => event.type === "counted" && event.subject === key).map(({ data }) => data);
    const said = names.map((name, index) => JSON.stringify({ name, count: index + 1 }));
    expect(
      sameSet(
        counted.map((data) => JSON.stringify(data)),
        said,
      ),
      `key ${key}: events say ${JSON.stringify(counted)}, state ${names.join(", ")}`,
    );
    const passedOn = events.filter((event) => event.type === "relayed" && event.subject === key).map(({ data }) => String(data));
    expect(sameSet(passedOn, names), `key ${key}: passed on ${passedOn.join(", ")}, state ${names.join(", ")}`);
    const heard = events.filter((event) => event.type === "heard" && event.subject === key).map(({ data }) => String(data));
    expect(sameSet(heard, names), `key ${key}: heard ${heard.join(", ")}, state ${names.join(", ")}`);
  }
  const gathered = events.filter(({ type }) => type === "gathered").flatMap(({ data }) => data as string[]);
  for (const { name, kind } of sent) {
    const times = gathered.filter((other) => other === name).length;
    expect(times === 1 || kind === "volatile", `"${name}" is in ${times} of the events of batches`);
  }
  await gateway.journal.expiry.step("probe", 1);
  const kept = (await gateway.journal.loadState("probe", "k")).map(({ name, value }) => `${name}=${value.toString()}`).join();
  expect(["", "b=2"].includes(kept), `of state that expires, ${JSON.stringify(kept)} is left`);
  const { ticked, now } = gateway.outside;
  const [first = now] = ticked;
  const due = Array.from({ length: (now - first) / 1_000 + 1 }, (_, index) => first + index * 1_000);
  expect(same(ticked.map(String), due.map(String)), `a schedule of every second has woken at ${ticked.join(", ")}, and it is ${now}`);
  const { pending, bytes } = gateway.journal.outbox;
  expect(pending === 0 && bytes === 0, `${pending} events of ${bytes} bytes are left in the outbox`);
  for (const { id, type } of gateway.waiting)
    expect(type !== LANE_TYPE || cloud.has(id), `${id} was in the outbox and never came to the cloud`);
  return problems;
}

/** Whether the message was sent again, so that others may have come before it. */
function resent(name: string, before: Outside): boolean {
  return !before.acknowledged.has(name);
}

async function stateOf(gateway: CrashGateway, key: string): Promise<string[]> {
  const values = new Map(
    (await gateway.journal.loadState("counting", key)).map(({ name, value }) => [name, JSON.parse(value.toString()) as unknown]),
  );
  const [seen, list] = [values.get("seen"), values.get("list")];
  // Of the two shapes there is one, and the mark with the second.
  if (values.get("") !== (list === undefined ? undefined : 2) || (seen !== undefined && list !== undefined)) return ["torn"];
  return ((list as { readonly names: string[] } | undefined)?.names ?? seen ?? []) as string[];
}

function nameIn(payload: string): string {
  return (JSON.parse(Buffer.from(payload, "base64").toString()) as { name: string }).name;
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index]);
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return same(one.toSorted(), other.toSorted());
}
