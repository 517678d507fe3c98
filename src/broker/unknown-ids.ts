import { REASON } from "./reasons.ts";

const UNKNOWN = Symbol("unknown");

interface Answer {
  readonly cmd: string;
  readonly messageId?: unknown;
  reasonCode?: unknown;
}

/** The client has released a packet id that stands for nothing. */
export function noteUnknownRelease(client: object, id: number): void {
  const known = Reflect.get(client, UNKNOWN) as Set<number> | undefined;
  if (known === undefined) Reflect.set(client, UNKNOWN, new Set([id]));
  else known.add(id);
}

/** Makes the engine's PUBCOMP say that its packet id was not found (MQTT 5, 3.7.2.1); earlier versions have no reason there, and it is answered as any. */
export function amendPubcomp(packet: Answer, stream: object): void {
  const client = Reflect.get(stream, "client") as object | undefined;
  const unknown = client === undefined ? undefined : (Reflect.get(client, UNKNOWN) as Set<number> | undefined);
  if (unknown?.delete(Number(packet.messageId)) === true) packet.reasonCode = REASON.packetIdNotFound;
}
