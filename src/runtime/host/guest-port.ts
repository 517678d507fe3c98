import type { GuestHost, GuestRuntime } from "./guest-types.ts";

/** A member of `GuestHost`, and what it is called with. */
type Ask = (...what: unknown[]) => void;

/** The ways out through one function, which is made with the isolate: handing one over costs an isolate more than what most functions do at their start. */
export function hostThrough(ask: Ask): GuestHost {
  return {
    loadState: (request, keys) => ask("loadState", request, keys),
    wakeIn: (ms) => ask("wakeIn", ms),
    call: (request, what, head, body) => ask("call", request, what, head, body),
    callOff: (request) => ask("callOff", request),
  };
}

type Member = (first: unknown, second: unknown, third: unknown) => unknown;

interface GuestGate {
  /** Calls a member of the guest. */
  readonly gate: (name: keyof GuestRuntime, first: unknown, second: unknown, third: unknown) => unknown;
  readonly hasInit: boolean;
}

/** The guest behind one function, for the same reason. */
export function gateTo(guest: GuestRuntime): GuestGate {
  const gate: GuestGate["gate"] = (name, first, second, third) => (guest[name] as Member)(first, second, third);
  return { gate, hasInit: guest.init !== undefined };
}
