import type { PublishPacket } from "aedes";
import { encodeMessage, type Message, PROPERTIES_BYTES_MAX } from "../core/message.ts";
import type { ReleaseLedger } from "./incoming-ids.ts";

/** A message for the journal. */
export interface Entry {
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
  /** It need not survive, so it is not written. */
  readonly volatile?: true;
}

export type Done = (error?: Error, duplicate?: boolean) => void;

/** Where messages go that functions want; everything else is only brokered. */
export interface Intake {
  /** Whether functions want messages with this topic, and whether they have to be on disk before they are acknowledged. */
  matches(topic: string): "none" | "volatile" | "durable";
  /** `done` is called when the message is durable, or taken if it is volatile. */
  append(entry: Entry, done: Done): void;
  /** The same, once for each packet id until it is released. `done` hears of a duplicate when nothing is left to be done for the message. */
  appendOnce(client: string, packetId: number, entry: Entry, done: Done): void;
  readonly ledger: ReleaseLedger & { clear(client: string): Promise<void> };
}

export function entryOf(message: Message, isVolatile: boolean): Entry {
  const entry = { topic: message.topic, time: message.time, hops: 0, record: encodeMessage(message) };
  return isVolatile ? { ...entry, volatile: true } : entry;
}

/** Why a message has no place in the journal, or undefined when it has. */
export function propertiesProblem({ properties }: Message): string | undefined {
  const fits = properties === undefined || Buffer.byteLength(JSON.stringify(properties)) <= PROPERTIES_BYTES_MAX;
  return fits ? undefined : `its properties are longer than ${PROPERTIES_BYTES_MAX} bytes as JSON`;
}

export function payloadProblem(packet: PublishPacket, bytesMax: number): string | undefined {
  return packet.payload.length > bytesMax ? `the payload has ${packet.payload.length} bytes, at most ${bytesMax} are allowed` : undefined;
}
