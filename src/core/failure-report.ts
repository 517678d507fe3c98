import { isUtf8 } from "node:buffer";

/** Bytes of the payload that a report carries; the dead letter has all of it. */
export const REPORT_PAYLOAD_BYTES_MAX = 64 * 1024;

/** What is told of a message that was given up: the payload of `onFailure.publish` as JSON, and the data of the event of `onFailure.emit`. */
export interface FailureReport {
  /** Of the message: `GATEWAY:SEQ`. */
  readonly id: string;
  readonly gateway: string;
  readonly function: string;
  readonly version: number;
  /** How often the message was tried. */
  readonly attempts: number;
  /** Such as `FUNCTION_THREW` or `LIMIT_CPU`. */
  readonly code: string;
  /** The message of the error, with the place in the author's files where that is known. */
  readonly error: string;
  readonly topic: string;
  readonly key: string;
  /** When the message arrived, in milliseconds since the epoch. */
  readonly time: number;
  /** Who published it. */
  readonly source: string;
  /** As text where it is UTF-8, as base64 otherwise; at most its first 64 KB. */
  readonly payload: string;
  readonly encoding: "utf8" | "base64";
  /** Of the whole payload. */
  readonly payloadBytes: number;
}

/** The payload as a report carries it. */
export function reportedPayload(payload: Uint8Array): Pick<FailureReport, "payload" | "encoding" | "payloadBytes"> {
  const start = payload.subarray(0, REPORT_PAYLOAD_BYTES_MAX);
  const payloadBytes = payload.length;
  if (!isUtf8(payload)) return { payload: Buffer.from(start).toString("base64"), encoding: "base64", payloadBytes };
  // Of a character that is cut in two nothing is shown.
  return { payload: new TextDecoder("utf-8", { ignoreBOM: true }).decode(start, { stream: true }), encoding: "utf8", payloadBytes };
}
