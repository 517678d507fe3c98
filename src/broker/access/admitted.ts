import type { Arrival } from "../arrival.ts";
import type { Identity } from "./identity.ts";
import type { Permit } from "./permit.ts";

const ADMITTED = Symbol("admitted");

/** What is known of a client that was let in. */
export interface Admitted {
  readonly arrival: Arrival;
  readonly identity: Identity;
  readonly permit: Permit;
  /** How often the files of access had changed by then. */
  readonly asOf: number;
  /** Whether it is by the files still who it was when it came. */
  readonly isKnown: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

interface Known {
  [ADMITTED]?: Admitted;
}

/** Undefined for a client that was not let in. */
export function admittedOf(client: object): Admitted | undefined {
  return (client as Known)[ADMITTED];
}

export function setAdmitted(client: object, admitted: Admitted): void {
  (client as Known)[ADMITTED] = admitted;
}
