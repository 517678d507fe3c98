import { type QueuedPacket, SessionShelf, type ShelfParts } from "../session-shelf.ts";
import type { SharedGroups, SharedPacket } from "./groups.ts";

/** How many are read at once. */
const READ_MAX = 256;

/**
 * Gives what is in the queue of a session that has ended to other members of its groups. What the client was sent with QoS 2 must not reach another
 * [MQTT-4.8.2-5]; what it was sent with QoS 1 may (MQTT 5, 4.8.2). After a kill the rest is in the queue still, and nothing that another member has.
 */
export async function passOn(client: string, parts: ShelfParts, groups: SharedGroups): Promise<void> {
  if (groups.size === 0) return;
  const shelf = new SessionShelf(parts, client);
  const sent = await shelf.sentIds();
  let from: string | undefined = shelf.first;
  while (from !== undefined) {
    const { packets, isLast } = await shelf.read(from, READ_MAX);
    const moves = packets.flatMap((packet) => {
      const { number } = packet;
      const id = sent.get(number);
      const orphan = orphanOf(packet, id !== undefined);
      return orphan === undefined ? [] : [groups.move(orphan, { client, removal: shelf.removal(number, id) })];
    });
    // No more is read than members that are connected can take.
    await Promise.all(moves);
    from = isLast ? undefined : packets.at(-1)?.next;
  }
}

/** The message, if it is from a group and another member may get it. `isSent` says whether its client was sent it. */
export function orphanOf(packet: QueuedPacket, isSent: boolean): SharedPacket | undefined {
  if (packet.cmd !== "publish") return undefined;
  const { number: _number, next: _next, messageId, shared, messageExpiry, properties, ...message } = packet;
  const isTaken = message.qos === 2 && (isSent || messageId !== undefined);
  if (shared === undefined || isTaken || (messageExpiry ?? Infinity) <= Date.now()) return undefined;
  const rest = { ...(properties === undefined ? {} : { properties }), ...(messageExpiry === undefined ? {} : { messageExpiry }) };
  return { ...message, ...rest, qos: message.qos === 2 ? 2 : 1, dup: false, shared };
}
