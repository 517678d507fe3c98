import { z } from "zod";

/** A client that is connected to the broker, as an operator sees it. */
export const clientInfoSchema = z.object({
  id: z.string(),
  /** Absent for one that did not say who it is. */
  user: z.string().exactOptional(),
  /** Absent on a Unix socket. */
  address: z.string().exactOptional(),
  listener: z.string(),
  /** How it is known who it is. */
  proof: z.enum(["password", "certificate", "token", "none"]),
  /** 3, 4 (of 3.1.1) or 5. */
  version: z.int(),
  /** Milliseconds since the epoch. */
  since: z.number(),
  subscriptions: z.array(z.string()),
  /** Messages that wait for it, in memory and in its session. */
  queued: z.int(),
  /** On the wire, from it and to it. */
  bytesIn: z.number(),
  bytesOut: z.number(),
});

export type ClientInfo = z.infer<typeof clientInfoSchema>;

/** A session whose client is away, as an operator sees it. */
export const sessionInfoSchema = z.object({
  id: z.string(),
  /** The user that it belongs to; absent for one of a client that did not say who it is. */
  user: z.string().exactOptional(),
  /** When its client left, in milliseconds since the epoch. */
  since: z.number(),
  /** When it ends if the client is not back before; absent for one that does not end. */
  endsAt: z.number().exactOptional(),
  /** Messages that wait for it, with those that its client had and did not acknowledge. */
  queued: z.int(),
  /** What they take, as the bounds of queues count it. */
  queuedBytes: z.int(),
});

export type SessionInfo = z.infer<typeof sessionInfoSchema>;

/** Whom a list is about: the first `limit`; those of one user when it is named. */
export interface ClientQuery {
  readonly limit: number;
  readonly user?: string | undefined;
}

/** Who is connected to the broker, and whose session waits there. */
export interface ClientSource {
  /** By client id. */
  list(query: ClientQuery): readonly ClientInfo[];
  /** The one that was left first in front. */
  sessionsAway(query: ClientQuery): readonly SessionInfo[];
  /** False when nobody is connected with this id. */
  disconnect(id: string): boolean;
  /** Ends its session, and its connection if it has one. False when there is neither. */
  forget(id: string): Promise<boolean>;
}
