import { admittedOf } from "./admitted.ts";
import type { Identity } from "./identity.ts";

/**
 * Who a client was when it came in, as far as it counts for what may be published for it when it is gone. To be kept on disk: it has no password and
 * no token in it.
 */
export interface Bearer {
  readonly client: string;
  readonly identity: Omit<Identity, "until">;
  readonly arrival: { readonly listener: string; readonly address: string | undefined; readonly isLocal: boolean };
}

/** Undefined for a client that was not let in. */
export function bearerOf(client: { readonly id: string }): Bearer | undefined {
  const admitted = admittedOf(client);
  if (admitted === undefined) return undefined;
  const { user, groups, proof, passwordDigest } = admitted.identity;
  const { listener, address, isLocal } = admitted.arrival;
  return { client: client.id, identity: { user, groups, proof, passwordDigest }, arrival: { listener, address, isLocal } };
}
