import type { Dice } from "./dice.ts";
import { type Draft, type PropertyBlock, sized, u16, u32, u8, variable } from "./draft.ts";

export type Version = 3 | 4 | 5;

/** What the packets of one connection have in common. */
export interface Speaker {
  readonly dice: Dice;
  readonly version: Version;
  readonly clientId: string;
  /** Tells its messages from those of all others. */
  readonly name: string;
  /** The next packet id. */
  id: number;
  messages: number;
}

/** Below this everything is published that is to arrive somewhere. */
export const PREFIX = "fuzz";

type Value = (dice: Dice) => Buffer;

const flag: Value = (dice) => u8(dice.below(2));
const short: Value = (dice) => u16(dice.chance(0.3) ? 65_535 : 1 + dice.below(100));
const long: Value = (dice) => u32(dice.pick([0, 1, 60, 3_600, 0xff_ff_ff_ff]));
const words: Value = (dice) => sized(text(dice));
const binary: Value = (dice) => sized(dice.bytes(dice.below(20)));
const pair: Value = (dice) => Buffer.concat([sized(text(dice)), sized(text(dice))]);

/** Every property of MQTT 5 (2.2.2.2), those of servers too. */
const PROPERTIES = {
  payloadFormat: [0x01, flag],
  messageExpiry: [0x02, long],
  contentType: [0x03, words],
  responseTopic: [0x08, (dice) => sized(topic(dice))],
  correlationData: [0x09, binary],
  subscriptionId: [0x0b, (dice) => variable(1 + dice.below(300))],
  sessionExpiry: [0x11, (dice) => u32(dice.pick([0, 1, 5, 60]))],
  assignedClientId: [0x12, words],
  serverKeepAlive: [0x13, short],
  authMethod: [0x15, words],
  authData: [0x16, binary],
  problemInformation: [0x17, flag],
  willDelay: [0x18, (dice) => u32(dice.below(3))],
  responseInformation: [0x19, flag],
  serverInformation: [0x1a, words],
  serverReference: [0x1c, words],
  reasonString: [0x1f, words],
  receiveMaximum: [0x21, short],
  aliasMaximum: [0x22, short],
  topicAlias: [0x23, (dice) => u16(1 + dice.below(120))],
  maximumQos: [0x24, flag],
  retainAvailable: [0x25, flag],
  userProperty: [0x26, pair],
  maximumPacketSize: [0x27, (dice) => u32(dice.pick([1, 30, 200, 1_000_000, 0xff_ff_ff_ff]))],
  wildcardsAvailable: [0x28, flag],
  subscriptionIdsAvailable: [0x29, flag],
  sharedAvailable: [0x2a, flag],
} as const satisfies Record<string, readonly [number, Value]>;

type Name = keyof typeof PROPERTIES;

export function property(dice: Dice, name: Name): Buffer {
  const [id, value] = PROPERTIES[name];
  return Buffer.concat([variable(id), value(dice)]);
}

export const PROPERTY_NAMES = Object.keys(PROPERTIES) as readonly Name[];

/** Some of these, in any order; user properties several times. None before version 5. */
function properties({ dice, version }: Speaker, names: readonly Name[], share = 0.25): PropertyBlock[] {
  if (version !== 5) return [];
  const chosen = dice.some(names, share).flatMap((name): Name[] => (name === "userProperty" && dice.chance(0.5) ? [name, name] : [name]));
  return [{ properties: chosen.map((name) => property(dice, name)) }];
}

const WORDS = [
  "",
  "a",
  "temp",
  "Grüße",
  "温度",
  "🌡",
  "\uFEFFbom",
  "\u{10FFFF}",
  "%s%n",
  "__proto__",
  "constructor",
  "../..",
  " ",
  "x".repeat(300),
];

function text(dice: Dice): string {
  return dice.chance(0.7) ? dice.pick(WORDS) : String(dice.below(1_000_000));
}

function level(dice: Dice): string {
  return text(dice).replaceAll("/", "_");
}

/** A topic to publish to. Some wake a function, some are for a session whose client is away. */
function topic(dice: Dice): string {
  const place = dice.weighted({ plain: 5, in: 3, kept: 2, deep: 0.3, system: 0.3, elsewhere: 0.5 });
  if (place === "deep") return [PREFIX, ...Array.from({ length: 500 }, () => dice.pick(["", "a", "b"]))].join("/");
  if (place === "system") return `$SYS/${level(dice)}`;
  if (place === "elsewhere") return `else/${level(dice)}`;
  return [PREFIX, place, ...Array.from({ length: 1 + dice.below(3) }, () => level(dice))].join("/");
}

function filter(dice: Dice): string {
  const shape = dice.weighted({ topic: 3, plus: 3, hash: 2, all: 1, shared: 1, deep: 0.3, system: 0.5 });
  switch (shape) {
    case "topic":
      return topic(dice);
    case "plus":
      return [PREFIX, "+", ...dice.some(["+", "a", "", "temp"], 0.5)].join("/");
    case "hash":
      return `${PREFIX}/${dice.pick(["in", "plain", "kept"])}/#`;
    case "all":
      return dice.pick(["#", "+/#", "+/+/+"]);
    case "shared":
      return `$share/${dice.pick(["g", "h"])}/${PREFIX}/${dice.pick(["#", "in/+", "plain/#"])}`;
    case "deep":
      return [PREFIX, ...Array.from({ length: 499 }, () => "+"), "#"].join("/");
    case "system":
      break;
  }
  return dice.pick(["$SYS/#", "$SYS/+/new/clients"]);
}

function nextId(speaker: Speaker): Buffer {
  speaker.id = (speaker.id % 65_535) + 1;
  return u16(speaker.id);
}

/** Mostly of what it may have sent or been sent. */
function someId({ dice, id }: Speaker): Buffer {
  return u16(dice.chance(0.6) ? Math.max(1, id - dice.below(3)) : 1 + dice.below(65_535));
}

export interface ConnectPlan {
  readonly keepAlive: number;
  readonly clean: boolean;
}

const WILL = ["payloadFormat", "messageExpiry", "contentType", "responseTopic", "correlationData", "willDelay", "userProperty"] as const;

export function connect(speaker: Speaker, { keepAlive, clean }: ConnectPlan): Draft {
  const { dice, version, clientId } = speaker;
  const hasWill = dice.chance(0.2);
  const hasUser = dice.chance(0.15);
  const hasPassword = dice.chance(0.1) && (hasUser || version === 5);
  const qos = hasWill ? dice.below(3) : 0;
  const retain = hasWill && dice.chance(0.2);
  const bits = [hasUser ? 128 : 0, hasPassword ? 64 : 0, retain ? 32 : 0, qos << 3, hasWill ? 4 : 0, clean ? 2 : 0];
  return {
    first: 0x10,
    parts: [
      sized(version === 3 ? "MQIsdp" : "MQTT"),
      u8(version),
      u8(bits.reduce((sum, bit) => sum | bit, 0)),
      u16(keepAlive),
      ...properties(
        speaker,
        ["sessionExpiry", "receiveMaximum", "maximumPacketSize", "aliasMaximum", "problemInformation", "userProperty"],
        0.3,
      ),
      sized(clientId),
      ...(hasWill ? [...properties(speaker, WILL), sized(topic(dice)), sized(payload(speaker))] : []),
      ...(hasUser ? [sized(text(dice))] : []),
      ...(hasPassword ? [sized(dice.bytes(8))] : []),
    ],
  };
}

/** No two are equal. */
function payload(speaker: Speaker): string {
  return `${speaker.name} ${++speaker.messages} ${"x".repeat(speaker.dice.chance(0.05) ? speaker.dice.below(100_000) : 0)}`;
}

const MESSAGE = ["payloadFormat", "messageExpiry", "contentType", "responseTopic", "correlationData", "userProperty"] as const;

function publish(speaker: Speaker): Draft {
  const { dice, version } = speaker;
  const qos = dice.pick([0, 1, 1, 1, 2]);
  const dup = qos > 0 && dice.chance(0.05);
  const aliased = version === 5 && dice.chance(0.1);
  const block = properties(speaker, aliased ? [...MESSAGE, "topicAlias"] : MESSAGE, 0.2);
  const to = aliased && dice.chance(0.5) ? "" : topic(dice);
  const first = 0x30 | (dup ? 8 : 0) | (qos << 1) | (dice.chance(0.1) ? 1 : 0);
  return { first, parts: [sized(to), ...(qos > 0 ? [nextId(speaker)] : []), ...block, Buffer.from(payload(speaker))] };
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP: short, with a reason, or with properties too (MQTT 5, 3.4). */
function answer(first: number, reasons: readonly number[]): (speaker: Speaker) => Draft {
  return (speaker) => {
    const { dice, version } = speaker;
    const id = someId(speaker);
    if (version !== 5 || dice.chance(0.4)) return { first, parts: [id] };
    const reason = u8(dice.pick(reasons));
    return { first, parts: dice.chance(0.5) ? [id, reason] : [id, reason, ...properties(speaker, ["reasonString", "userProperty"])] };
  };
}

function subscribe(speaker: Speaker): Draft {
  const { dice, version } = speaker;
  const many = dice.chance(0.02) ? 1_000 : 1 + dice.below(3);
  const filters = Array.from({ length: many }, () => {
    const options = dice.below(3) | (version === 5 ? dice.pick([0, 0, 4, 8, 16, 32]) : 0);
    return [sized(filter(dice)), u8(options)];
  });
  return { first: 0x82, parts: [nextId(speaker), ...properties(speaker, ["subscriptionId", "userProperty"]), ...filters.flat()] };
}

function unsubscribe(speaker: Speaker): Draft {
  const { dice } = speaker;
  const filters = Array.from({ length: 1 + dice.below(3) }, () => sized(filter(dice)));
  return { first: 0xa2, parts: [nextId(speaker), ...properties(speaker, ["userProperty"]), ...filters] };
}

function disconnect(speaker: Speaker): Draft {
  const { dice, version } = speaker;
  if (version !== 5 || dice.chance(0.4)) return { first: 0xe0, parts: [] };
  return {
    first: 0xe0,
    parts: [u8(dice.pick([0, 4, 0x80, 0x93])), ...properties(speaker, ["sessionExpiry", "reasonString", "userProperty"])],
  };
}

function auth(speaker: Speaker): Draft {
  const block = properties(speaker, ["authMethod", "authData", "reasonString", "userProperty"], 0.5);
  return { first: 0xf0, parts: [u8(speaker.dice.pick([0, 0x18, 0x19])), ...block] };
}

const PACKETS = {
  publish,
  puback: answer(0x40, [0, 0x10, 0x80, 0x97]),
  pubrec: answer(0x50, [0, 0x10, 0x80, 0x91]),
  pubrel: answer(0x62, [0, 0x92]),
  pubcomp: answer(0x70, [0, 0x92]),
  subscribe,
  unsubscribe,
  pingreq: (): Draft => ({ first: 0xc0, parts: [] }),
  disconnect,
  auth,
} as const;

const OFTEN = {
  publish: 40,
  puback: 4,
  pubrec: 4,
  pubrel: 8,
  pubcomp: 4,
  subscribe: 12,
  unsubscribe: 4,
  pingreq: 8,
  disconnect: 1,
  auth: 0.3,
} as const satisfies Record<keyof typeof PACKETS, number>;

/** A packet that a client may send once it is connected. */
export function packet(speaker: Speaker): Draft {
  return PACKETS[speaker.dice.weighted(OFTEN)](speaker);
}
