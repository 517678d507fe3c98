import { topicNameProblem } from "./filters.ts";
import { REASON } from "./reasons.ts";
import { malformed, ProtocolError, protocolError, type WireReader } from "./wire-reader.ts";

type Kind = "flag" | "u16" | "u32" | "variable" | "text" | "binary" | "pair";

interface Property {
  readonly name: string;
  readonly kind: Kind;
  /** The value must not be zero. */
  readonly positive?: true;
}

const USER_PROPERTY = 0x26;
const TOPIC_ALIAS = 0x23;
const RESPONSE_TOPIC = 0x08;

/** Every property of MQTT 5 (2.2.2.2) that a client may send. */
const PROPERTIES: ReadonlyMap<number, Property> = new Map([
  [0x01, { name: "Payload Format Indicator", kind: "flag" }],
  [0x02, { name: "Message Expiry Interval", kind: "u32" }],
  [0x03, { name: "Content Type", kind: "text" }],
  [RESPONSE_TOPIC, { name: "Response Topic", kind: "text" }],
  [0x09, { name: "Correlation Data", kind: "binary" }],
  [0x0b, { name: "Subscription Identifier", kind: "variable", positive: true }],
  [0x11, { name: "Session Expiry Interval", kind: "u32" }],
  [0x15, { name: "Authentication Method", kind: "text" }],
  [0x16, { name: "Authentication Data", kind: "binary" }],
  [0x17, { name: "Request Problem Information", kind: "flag" }],
  [0x18, { name: "Will Delay Interval", kind: "u32" }],
  [0x19, { name: "Request Response Information", kind: "flag" }],
  [0x1f, { name: "Reason String", kind: "text" }],
  [0x21, { name: "Receive Maximum", kind: "u16", positive: true }],
  [0x22, { name: "Topic Alias Maximum", kind: "u16" }],
  [TOPIC_ALIAS, { name: "Topic Alias", kind: "u16" }],
  [USER_PROPERTY, { name: "User Property", kind: "pair" }],
  [0x27, { name: "Maximum Packet Size", kind: "u32", positive: true }],
]);

/** Which properties a packet of a client may have. */
export const ALLOWED = {
  connect: new Set([0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
  will: new Set([0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
  publish: new Set([0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26]),
  answer: new Set([0x1f, 0x26]),
  subscribe: new Set([0x0b, 0x26]),
  unsubscribe: new Set([0x26]),
  disconnect: new Set([0x11, 0x1f, 0x26]),
  auth: new Set([0x15, 0x16, 0x1f, 0x26]),
} as const;

/** Checks a packet's properties (MQTT 5, 2.2.2) and answers with which there are; `names` gets those of user properties. @throws ProtocolError */
export function checkProperties(reader: WireReader, allowed: ReadonlySet<number>, names?: string[]): ReadonlySet<number> {
  const part = reader.part(reader.variable());
  const found = new Set<number>();
  while (part.left > 0) {
    const id = part.variable();
    const property = PROPERTIES.get(id);
    if (property === undefined || !allowed.has(id)) throw unexpected(id, property);
    if (found.has(id) && id !== USER_PROPERTY) throw protocolError(`the property ${property.name} comes twice`);
    found.add(id);
    const value = checkValue(part, id, property);
    if (id === USER_PROPERTY) names?.push(String(value));
  }
  return found;
}

/** MQTT 5, 2.2.2.2. */
function unexpected(id: number, property: Property | undefined): ProtocolError {
  return property === undefined
    ? malformed(`there is no property ${id} that a client may send`)
    : malformed(`the property ${property.name} does not belong into this packet`);
}

function checkValue(part: WireReader, id: number, { name, kind, positive }: Property): number | string {
  const value = READ[kind](part, name);
  if (kind === "flag" && value !== 0 && value !== 1) throw protocolError(`${name} must be 0 or 1`);
  if (positive === true && value === 0) throw protocolError(`${name} must not be 0`);
  if (id === TOPIC_ALIAS && value === 0) throw new ProtocolError(REASON.topicAliasInvalid, "the topic alias must not be 0");
  const problem = id === RESPONSE_TOPIC ? topicNameProblem(String(value)) : undefined;
  if (problem !== undefined) throw protocolError(`the Response Topic is not a topic to publish to: ${problem}`);
  return value;
}

const READ: Readonly<Record<Kind, (part: WireReader, name: string) => number | string>> = {
  flag: (part) => part.u8(),
  u16: (part) => part.u16(),
  u32: (part) => part.u32(),
  variable: (part) => part.variable(),
  binary: (part) => part.binary(),
  text: (part, name) => part.text(name),
  pair: (part, name) => {
    const key = part.text(name);
    part.text(name);
    return key;
  },
};
