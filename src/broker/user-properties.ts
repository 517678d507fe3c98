/**
 * The order of user properties, which have to be passed on as they came [MQTT-3.3.2-18], [MQTT-3.1.3-10]. The library's parser gathers them by name; where
 * that is not their order, the names as they came are kept beside them, as one more property that is stored and copied with the others.
 */
const NAMES = "userPropertyNames";

const USER_PROPERTY = 0x26;

interface Publish {
  readonly qos?: number;
  readonly properties?: unknown;
}

/** The names as they came, if gathering them by name changes their order. */
export function namesInDisorder(names: readonly string[]): readonly string[] | undefined {
  if (names.length < 2) return undefined;
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  let at = 0;
  // An object has names that are numbers first.
  for (const name of Object.keys(Object.fromEntries(counts))) {
    for (let left = counts.get(name) ?? 0; left > 0; left--) if (names[at++] !== name) return names;
  }
  return undefined;
}

/** Keeps the names with the message of a PUBLISH, or with the will of a CONNECT. */
export function keepNames(packet: object, names: readonly string[]): void {
  const carrier = Reflect.get(packet, "cmd") === "connect" ? (Reflect.get(packet, "will") as object) : packet;
  const properties = Reflect.get(carrier, "properties") as object | undefined;
  if (properties !== undefined) Reflect.set(properties, NAMES, names);
}

/** Encodes a PUBLISH of version 5 whose user properties are in another order than by name; undefined when it is not one. */
export function encodeInOrder<T extends Publish>(packet: T, generate: (packet: T) => Buffer): Buffer | undefined {
  const { properties } = packet;
  if (typeof properties !== "object" || properties === null || !(NAMES in properties)) return undefined;
  const { [NAMES]: names, userProperties, ...rest } = properties as Record<string, unknown>;
  const pairs = pairsOf(names as readonly string[], userProperties as Readonly<Record<string, string | readonly string[]>>);
  return insert(generate({ ...packet, properties: rest }), Buffer.concat(pairs.flatMap(encodePair)), packet.qos ?? 0);
}

function pairsOf(names: readonly string[], values: Readonly<Record<string, string | readonly string[]>>): [string, string][] {
  const taken = new Map<string, number>();
  return names.flatMap((name): [string, string][] => {
    const own = values[name];
    const at = taken.get(name) ?? 0;
    taken.set(name, at + 1);
    const value = typeof own === "string" ? own : own?.[at];
    return value === undefined ? [] : [[name, value]];
  });
}

function encodePair(pair: readonly string[]): Buffer[] {
  return [
    Buffer.from([USER_PROPERTY]),
    ...pair.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.allocUnsafe(2);
      length.writeUInt16BE(bytes.length);
      return [length, bytes];
    }),
  ];
}

/** Puts them behind the other properties of an encoded PUBLISH (MQTT 5, 3.3). */
function insert(publish: Buffer, pairs: Buffer, qos: number): Buffer {
  const bodyAt = variableAt(publish, 1).end;
  const lengthAt = bodyAt + 2 + publish.readUInt16BE(bodyAt) + (qos > 0 ? 2 : 0);
  const { value, end } = variableAt(publish, lengthAt);
  const body = Buffer.concat([
    publish.subarray(bodyAt, lengthAt),
    encodeVariable(value + pairs.length),
    publish.subarray(end, end + value),
    pairs,
    publish.subarray(end + value),
  ]);
  return Buffer.concat([publish.subarray(0, 1), encodeVariable(body.length), body]);
}

/** MQTT 5, 1.5.5. */
function variableAt(bytes: Buffer, at: number): { value: number; end: number } {
  let value = 0;
  for (let index = 0; ; index++) {
    const byte = bytes[at + index] ?? 0;
    value += (byte & 127) * 128 ** index;
    if (byte < 128) return { value, end: at + index + 1 };
  }
}

function encodeVariable(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7) {
    bytes.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) return Buffer.from(bytes);
  }
}
