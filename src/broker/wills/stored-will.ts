import { z } from "zod";
import type { Bearer } from "../access/bearer.ts";
import { codec } from "../codec.ts";
import { padded } from "../session-shelf.ts";

/** The encoding has null for what has no value. */
function maybe<T extends z.ZodType>(type: T) {
  return type.nullish().transform((value) => value ?? undefined);
}

const schema = z.object({
  number: z.number(),
  delaySeconds: z.number(),
  since: maybe(z.number()),
  bearer: z.object({
    client: z.string(),
    identity: z.object({
      user: maybe(z.string()),
      groups: z.array(z.string()),
      proof: z.enum(["password", "certificate", "token", "none"]),
      passwordDigest: maybe(z.string()),
    }),
    arrival: z.object({ listener: z.string(), address: maybe(z.string()), isLocal: z.boolean() }),
  }),
  message: z.object({
    topic: z.string(),
    payload: z.instanceof(Uint8Array).transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    retain: z.boolean(),
    properties: maybe(z.record(z.string(), z.unknown())),
  }),
});

/** A will with everything that has to be known to publish it when its client, or the process that took it, is gone. */
export interface StoredWill {
  /** Grows with each will: of those of one client the older come first. */
  readonly number: number;
  /** How long it waits after the connection was lost (MQTT 5, 3.1.3.2.2), never longer than its session. */
  readonly delaySeconds: number;
  /** When the connection was lost, in ms since 1970; undefined while there is one, and after a crash. */
  readonly since: number | undefined;
  readonly bearer: Bearer;
  readonly message: WillMessage;
}

export interface WillMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: Readonly<Record<string, unknown>> | undefined;
}

/** The keys of all wills. One that an earlier version has left has no number in its key, and nothing says who it is from. */
export const WILLS = { gte: "will:", lt: "will;" };

export function willKey({ number, bearer: { client } }: StoredWill): string {
  return `will:${encodeURIComponent(client)}:${padded(number)}`;
}

export function encodeWill(will: StoredWill): Buffer {
  return codec.encode(will);
}

/** Undefined for one that an earlier version has left. */
export function decodeWill(key: string, value: Buffer): StoredWill | undefined {
  return key.indexOf(":") === key.lastIndexOf(":") ? undefined : schema.parse(codec.decode(value));
}
