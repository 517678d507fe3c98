import type { Dice } from "./dice.ts";
import { bodyOf, type Draft, encode, type PropertyBlock, sized, u16, u8, variable } from "./draft.ts";
import { property, PROPERTY_NAMES, PREFIX, type Speaker } from "./grammar.ts";

type Damaged = (dice: Dice, draft: Draft) => Buffer;

function withBody({ first }: Draft, body: Buffer, length = variable(body.length)): Buffer {
  return Buffer.concat([u8(first), length, body]);
}

function withProperties(draft: Draft, change: (block: PropertyBlock) => Buffer | PropertyBlock): Buffer {
  return encode({ ...draft, parts: draft.parts.map((part) => (Buffer.isBuffer(part) ? part : change(part))) });
}

const NOT_UTF8 = [
  Buffer.from([0xc3, 0x28]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xf8, 0x88, 0x80, 0x80, 0x80]),
  Buffer.from([0x80]),
  Buffer.from([0xc0, 0xaf]),
  Buffer.from([0]),
];

/** Ways to spoil one packet. */
const DAMAGES = {
  "bits flipped": (dice, draft) => {
    const bytes = encode(draft);
    for (let left = 1 + dice.below(8); left > 0; left--) {
      const at = dice.below(dice.chance(0.7) ? Math.min(bytes.length, 24) : bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
    }
    return bytes;
  },
  "cut off": (dice, draft) => {
    const bytes = encode(draft);
    return bytes.subarray(0, dice.below(bytes.length));
  },
  "fields beyond the end": (dice, draft) => {
    const body = bodyOf(draft);
    return withBody(draft, body.subarray(0, dice.below(body.length + 1)));
  },
  "bytes behind the end": (dice, draft) => withBody(draft, Buffer.concat([bodyOf(draft), dice.bytes(1 + dice.below(10))])),
  "wrong length": (dice, draft) => {
    const body = bodyOf(draft);
    return withBody(draft, body, variable(Math.max(0, body.length + dice.pick([-3, -2, -1, 1, 2, 3, 100]))));
  },
  "huge length": (dice, draft) => withBody(draft, bodyOf(draft), variable(dice.pick([268_435_455, 2_000_000, 1_100_000]))),
  "length of five bytes": (dice, draft) => withBody(draft, bodyOf(draft), Buffer.concat([Buffer.alloc(4, 255), u8(dice.below(256))])),
  "length padded with zeros": (dice, draft) => {
    const body = bodyOf(draft);
    return withBody(draft, body, variable(body.length, Math.min(4, variable(body.length).length + 1 + dice.below(2))));
  },
  "property twice": (dice, draft) =>
    withProperties(draft, ({ properties }) => {
      const again = properties.length === 0 ? property(dice, dice.pick(PROPERTY_NAMES)) : dice.pick(properties);
      return { properties: [...properties, again, again] };
    }),
  "foreign property": (dice, draft) =>
    withProperties(draft, ({ properties }) => ({ properties: [...properties, property(dice, dice.pick(PROPERTY_NAMES))] })),
  "unknown property": (dice, draft) =>
    withProperties(draft, ({ properties }) => ({
      properties: [Buffer.concat([variable(dice.pick([0, 4, 0x2b, 127, 300, 2_097_152])), dice.bytes(4)]), ...properties],
    })),
  "wrong length of properties": (dice, draft) =>
    withProperties(draft, ({ properties }) => {
      const bytes = Buffer.concat(properties);
      const wrong = dice.pick([bytes.length + 1, Math.max(0, bytes.length - 1), 127, 16_384, 268_435_455]);
      return Buffer.concat([variable(wrong), bytes]);
    }),
  "text that is not UTF-8": (dice, draft) => {
    const bytes = encode(draft);
    if (bytes.length < 8) return bytes;
    const bad = dice.pick(NOT_UTF8);
    bad.copy(bytes, Math.min(bytes.length - bad.length, 4 + dice.below(20)));
    return bytes;
  },
  "wrong flags": (dice, draft) => encode({ ...draft, first: (draft.first & 0xf0) | dice.below(16) }),
  "another type": (dice, draft) => encode({ ...draft, first: (dice.below(16) << 4) | (draft.first & 15) }),
  "nothing in it": (_dice, draft) => withBody(draft, Buffer.alloc(0)),
  spliced: (dice, draft) => {
    const bytes = encode(draft);
    const at = dice.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(dice.below(at + 1))]);
  },
  garbage: (dice) => dice.bytes(1 + dice.below(200)),
} as const satisfies Record<string, Damaged>;

export type Damage = keyof typeof DAMAGES;

export const DAMAGE_NAMES = Object.keys(DAMAGES) as readonly Damage[];

export function damage(kind: Damage, dice: Dice, draft: Draft): Buffer {
  return DAMAGES[kind](dice, draft);
}

/** Packets that are whole, and wrong where they are or in what they ask. */
const MISTAKES = {
  "a second CONNECT": ({ version, clientId }) =>
    encode({
      first: 0x10,
      parts: [sized("MQTT"), u8(version), u8(2), u16(1), ...(version === 5 ? [{ properties: [] }] : []), sized(clientId)],
    }),
  "PUBREL of an unknown id": ({ dice }) => encode({ first: 0x62, parts: [u16(40_000 + dice.below(1_000))] }),
  "packet id 0": ({ dice }) => encode({ first: dice.pick([0x40, 0x50, 0x62, 0x70]), parts: [u16(0)] }),
  "SUBSCRIBE without a filter": (speaker) =>
    encode({ first: 0x82, parts: [u16(++speaker.id & 0x7f_ff), ...(speaker.version === 5 ? [{ properties: [] }] : [])] }),
  "UNSUBSCRIBE without a filter": (speaker) =>
    encode({ first: 0xa2, parts: [u16(++speaker.id & 0x7f_ff), ...(speaker.version === 5 ? [{ properties: [] }] : [])] }),
  "what only servers send": ({ dice }) =>
    dice.pick([Buffer.from([0x20, 2, 0, 0]), Buffer.from([0x90, 3, 0, 1, 0]), Buffer.from([0xb0, 2, 0, 1]), Buffer.from([0xd0, 0])]),
  "a topic with wildcards": (speaker) => message(speaker, `${PREFIX}/+/#`),
  "an empty topic": (speaker) => message(speaker, ""),
  "a topic of 64 KB": (speaker) => message(speaker, `${PREFIX}/${"t".repeat(65_530 - PREFIX.length)}`),
  "30,000 levels": (speaker) => message(speaker, `${PREFIX}${"/".repeat(30_000)}`),
  "a message above the limit": (speaker) => {
    const head = message(speaker, `${PREFIX}/plain/large`).subarray(2);
    const body = Buffer.concat([head, Buffer.alloc(1_300_000, 120)]);
    return Buffer.concat([u8(0x32), variable(body.length), body]);
  },
  "200 messages of QoS 2": (speaker) => Buffer.concat(Array.from({ length: 200 }, () => message(speaker, `${PREFIX}/plain/twice`, 2))),
  "nested user properties": (speaker) => {
    if (speaker.version !== 5) return message(speaker, `${PREFIX}/plain/old`);
    const properties = Array.from({ length: 2_000 }, (_, n) =>
      Buffer.concat([u8(0x26), sized(n % 2 === 0 ? "__proto__" : `k${n}`), sized("v")]),
    );
    const id = u16((speaker.id = (speaker.id % 65_535) + 1));
    return encode({
      first: 0x32,
      parts: [sized(`${PREFIX}/in/many`), id, { properties }, Buffer.from(`${speaker.name} ${++speaker.messages}`)],
    });
  },
} as const satisfies Record<string, (speaker: Speaker) => Buffer>;

export type Mistake = keyof typeof MISTAKES;

export const MISTAKE_NAMES = Object.keys(MISTAKES) as readonly Mistake[];

export function mistake(kind: Mistake, speaker: Speaker): Buffer {
  return MISTAKES[kind](speaker);
}

function message(speaker: Speaker, topic: string, qos = 1): Buffer {
  const id = u16((speaker.id = (speaker.id % 65_535) + 1));
  const none = speaker.version === 5 ? [{ properties: [] }] : [];
  return encode({ first: 0x30 | (qos << 1), parts: [sized(topic), id, ...none, Buffer.from(`${speaker.name} ${++speaker.messages}`)] });
}
