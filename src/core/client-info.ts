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
  /** Messages that wait for it, in memory and in its session; counted up to 10,000. */
  queued: z.int(),
  /** On the wire, from it and to it. */
  bytesIn: z.number(),
  bytesOut: z.number(),
});

export type ClientInfo = z.infer<typeof clientInfoSchema>;

/** Who is connected to the broker. */
export interface ClientSource {
  list(query: { readonly limit: number; readonly user?: string }): Promise<readonly ClientInfo[]>;
  /** False when nobody is connected with this id. */
  disconnect(id: string): boolean;
  /** Ends its session, and its connection if it has one. False when there is neither. */
  forget(id: string): Promise<boolean>;
}
