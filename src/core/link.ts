import { decode, Encoder } from "cbor-x";
import type { z } from "zod";
import type { ArtifactChunk, ArtifactGet, Desired, EventAck, EventBatch, Reported } from "./link-messages.ts";

/**
 * What gateway and control plane say to each other, over MQTT 5 at QoS 1, payloads in CBOR, topics under `millrace/GATEWAY/`.
 *
 *   gateway → cloud   hello          on every connect: who it is and what it runs; answered with `desired`
 *                     reported       the same, whenever what it runs changes
 *                     events         a batch of outbox events; kept and sent again until `events/ack` names its batch number
 *                     artifact/get   the next piece of a bundle, by digest and offset
 *   cloud → gateway   desired        every function that the gateway shall run
 *                     events/ack     the batch is committed in the store; only now may the outbox be trimmed
 *                     artifact/chunk the piece asked for
 *
 * A PUBACK on the link means only that a broker has it. Everything above is safe to repeat and to lose: the sender asks again.
 */
const LINK_ROOT = "millrace";

export type UpTopic = "hello" | "reported" | "events" | "artifact/get";
export type DownTopic = "desired" | "events/ack" | "artifact/chunk";

export function linkTopic(gateway: string, name: UpTopic | DownTopic): string {
  return `${LINK_ROOT}/${gateway}/${name}`;
}

/** Splits `millrace/GATEWAY/NAME`; undefined for anything else. */
export function parseLinkTopic(topic: string): { gateway: string; name: string } | undefined {
  const match = /^millrace\/([^/]+)\/(.+)$/.exec(topic);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { gateway: match[1], name: match[2] };
}

/** A gateway's id is one topic level. */
export const GATEWAY_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** An event in its encoding, at most; larger ones cannot be sent. */
export const EVENT_BYTES_MAX = 2 * 1024 * 1024;

export const ARTIFACT_CHUNK_BYTES = 256 * 1024;

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

export function encodeLink(value: Reported | Desired | EventBatch | EventAck | ArtifactGet | ArtifactChunk): Buffer {
  return encoder.encode(value);
}

const BATCH_HEAD = Buffer.concat([Buffer.from([0xa2, 0x65]), Buffer.from("batch"), Buffer.from([0xfb])]);
const EVENTS_HEAD = Buffer.concat([Buffer.from([0x66]), Buffer.from("events"), Buffer.from([0x99])]);

/**
 * An `EventBatch` of events that are encoded already, at most 65,535: what `encodeLink` makes of it, without touching the events. The number
 * may be any safe integer.
 */
export function encodeEventBatch(batch: number, events: readonly Buffer[]): Buffer {
  const number = Buffer.allocUnsafe(8);
  number.writeDoubleBE(batch);
  const count = Buffer.allocUnsafe(2);
  count.writeUInt16BE(events.length);
  return Buffer.concat([BATCH_HEAD, number, EVENTS_HEAD, count, ...events]);
}

/** The value, or undefined when the bytes are not CBOR of the expected shape. */
export function decodeLink<T>(schema: z.ZodType<T>, payload: Uint8Array): T | undefined {
  try {
    return schema.parse(decode(payload));
  } catch {
    // Whoever can publish on the link may send anything; the caller counts and drops it.
    return undefined;
  }
}
