import { filterProblem, sharedFilter, topicNameProblem } from "./filters.ts";
import { REASON } from "./reasons.ts";
import { ALLOWED, checkProperties } from "./wire-properties.ts";
import { malformed, ProtocolError, protocolError, WireReader } from "./wire-reader.ts";

/** Types of the packets that a client may send (MQTT 5, 2.1.2). */
const TYPE = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
  auth: 15,
} as const;

/** The lower half of the first byte, where it is fixed (MQTT 5, 2.1.3). */
const FLAGS: Readonly<Record<number, number>> = { [TYPE.pubrel]: 2, [TYPE.subscribe]: 2, [TYPE.unsubscribe]: 2 };

const TYPES = new Set<number>(Object.values(TYPE));

/** A packet of these may come again before version 3.1.1, and say so (MQTT 3.1, 2.1). */
const REPEATED = new Set<number>([TYPE.pubrel, TYPE.subscribe, TYPE.unsubscribe]);

/** DUP in the first byte of a packet. */
const DUP = 8;

const TOPIC_ALIAS = 0x23;

/**
 * Checks a whole packet of a client against what the standard says of its bytes, for what the library's parser lets pass: fixed flags, texts that are
 * not UTF-8, packet ids of 0, properties that come twice or do not belong there, wildcards where none may be, and bytes that belong to nothing.
 * `start` is where its first byte is, `bodyAt` where the fixed header ends. `version` is undefined before CONNECT. Answers with the names of the user
 * properties that its message has, or its will, as they came.
 * @throws ProtocolError
 */
export function checkPacket(
  bytes: Buffer,
  place: { start: number; bodyAt: number; end: number },
  version: number | undefined,
): readonly string[] {
  const type = (bytes[place.start] ?? 0) >> 4;
  // Nobody further on knows of it.
  if (version === 3 && REPEATED.has(type)) bytes[place.start] = (bytes[place.start] ?? 0) & ~DUP;
  const first = bytes[place.start] ?? 0;
  const reader = new WireReader(bytes, place.bodyAt, place.end);
  if (type !== TYPE.publish && (first & 15) !== (FLAGS[type] ?? 0)) throw malformed("reserved flags of the fixed header are set");
  const names: string[] = [];
  checkBody(reader, { type, flags: first & 15, version: version ?? 0 }, names);
  if (reader.left > 0) throw malformed("there are bytes behind the last field");
  return names;
}

function checkBody(reader: WireReader, { type, flags, version }: { type: number; flags: number; version: number }, names: string[]): void {
  switch (type) {
    case TYPE.connect:
      return checkConnect(reader, names);
    case TYPE.publish:
      return checkPublish(reader, { flags, version }, names);
    case TYPE.puback:
    case TYPE.pubrec:
    case TYPE.pubrel:
    case TYPE.pubcomp:
      return checkAnswer(reader, version);
    case TYPE.subscribe:
      return checkSubscribe(reader, version);
    case TYPE.unsubscribe:
      return checkUnsubscribe(reader, version);
    case TYPE.pingreq:
      return;
    case TYPE.disconnect:
      return version === 5 ? checkReason(reader, ALLOWED.disconnect) : undefined;
    case TYPE.auth:
      if (version !== 5) throw malformed("there is no AUTH before version 5");
      return checkReason(reader, ALLOWED.auth);
    default:
      throw protocolError(`a client sends no packet of type ${type}`);
  }
}

const VERSIONS: Readonly<Record<string, readonly number[]>> = { MQIsdp: [3], MQTT: [4, 5] };

/** MQTT 5, 3.1; MQTT 3.1.1, 3.1. A bridge adds 128 to the version. */
function checkConnect(reader: WireReader, names: string[]): void {
  const name = reader.text("the protocol name");
  const versions = Object.hasOwn(VERSIONS, name) ? VERSIONS[name] : undefined;
  // Whoever speaks something else understands no answer [MQTT-3.1.2-1].
  if (versions === undefined) throw protocolError("the protocol is not MQTT");
  const version = reader.u8() & 127;
  try {
    if (!versions.includes(version)) throw new ProtocolError(REASON.unsupportedVersion, `version ${version} of ${name} is not supported`);
    checkConnectBody(reader, version, names);
  } catch (error) {
    if (error instanceof ProtocolError) error.version = version;
    throw error;
  }
}

function checkConnectBody(reader: WireReader, version: number, names: string[]): void {
  const flags = reader.u8();
  const [hasUser, hasPassword, hasWill] = [(flags & 128) !== 0, (flags & 64) !== 0, (flags & 4) !== 0];
  if ((flags & 1) !== 0) throw malformed("the reserved flag of CONNECT is set");
  if ((flags & 24) === 24) throw malformed("the will has QoS 3");
  if (!hasWill && (flags & 56) !== 0) throw malformed("there is no will, but a QoS or retain for one");
  if (hasPassword && !hasUser && version !== 5) throw malformed("there is a password without a user name");
  reader.u16();
  if (version === 5) checkProperties(reader, ALLOWED.connect);
  const id = reader.text("the client id");
  if (version === 3 && id === "") throw new ProtocolError(REASON.clientIdentifierNotValid, "the client id is empty"); // MQTT 3.1, 3.1
  if (hasWill) checkWill(reader, version, names);
  if (hasUser) reader.text("the user name");
  if (hasPassword) reader.binary();
}

function checkWill(reader: WireReader, version: number, names: string[]): void {
  if (version === 5) checkProperties(reader, ALLOWED.will, names);
  checkTopic(reader.text("the topic of the will"));
  reader.binary();
}

function checkTopic(topic: string): void {
  const problem = topicNameProblem(topic);
  if (problem !== undefined) throw new ProtocolError(REASON.topicNameInvalid, `the topic cannot be published to: ${problem}`);
}

/** MQTT 5, 3.3. */
function checkPublish(reader: WireReader, { flags, version }: { flags: number; version: number }, names: string[]): void {
  const problem = publishFlagsProblem(flags);
  if (problem !== undefined) throw malformed(problem);
  const topic = reader.text("the topic");
  if ((flags & 6) !== 0) checkId(reader);
  const properties = version === 5 ? checkProperties(reader, ALLOWED.publish, names) : new Set();
  if (topic !== "") checkTopic(topic);
  else if (!properties.has(TOPIC_ALIAS)) throw protocolError("there is neither a topic nor an alias for one");
  reader.skipRest();
}

/** Whether a client may send such a packet at all, of which the first byte has come. @throws ProtocolError */
export function checkType(first: number): void {
  const type = first >> 4;
  if (!TYPES.has(type)) throw protocolError(`a client sends no packet of type ${type}`);
}

/** What is wrong with the flags of a PUBLISH (MQTT 5, 3.3.1). */
export function publishFlagsProblem(flags: number): string | undefined {
  if ((flags & 6) === 6) return "the message has QoS 3";
  return (flags & 14) === 8 ? "a message of QoS 0 has DUP set" : undefined;
}

function checkId(reader: WireReader): void {
  if (reader.u16() === 0) throw malformed("the packet id is 0");
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5, 3.4 to 3.7). */
function checkAnswer(reader: WireReader, version: number): void {
  checkId(reader);
  if (version === 5) checkReason(reader, ALLOWED.answer);
}

/** A reason code and properties, both of which may be left out. */
function checkReason(reader: WireReader, allowed: ReadonlySet<number>): void {
  if (reader.left > 0) reader.u8();
  if (reader.left > 0) checkProperties(reader, allowed);
}

/** MQTT 5, 3.8. */
function checkSubscribe(reader: WireReader, version: number): void {
  checkId(reader);
  if (version === 5) checkProperties(reader, ALLOWED.subscribe);
  if (reader.left === 0) throw protocolError("SUBSCRIBE has no filter");
  while (reader.left > 0) {
    const filter = checkFilter(reader);
    const options = reader.u8();
    if ((options & 3) === 3) throw malformed("a subscription has QoS 3");
    if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) throw malformed("reserved bits of a subscription are set");
    if ((options & 0x30) === 0x30) throw protocolError("the retain handling of a subscription is 3");
    // [MQTT-3.8.3-4]
    if ((options & 4) !== 0 && sharedFilter(filter) !== undefined) throw protocolError("a shared subscription has no-local set");
  }
}

/** MQTT 5, 3.10. */
function checkUnsubscribe(reader: WireReader, version: number): void {
  checkId(reader);
  if (version === 5) checkProperties(reader, ALLOWED.unsubscribe);
  if (reader.left === 0) throw protocolError("UNSUBSCRIBE has no filter");
  while (reader.left > 0) checkFilter(reader);
}

function checkFilter(reader: WireReader): string {
  const filter = reader.text("a topic filter");
  const problem = filterProblem(filter);
  if (problem !== undefined) throw new ProtocolError(REASON.topicFilterInvalid, `"${filter.slice(0, 100)}" is no topic filter: ${problem}`);
  return filter;
}
