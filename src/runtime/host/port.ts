import type { GuestHost } from "./guest-types.ts";

/** What an isolate asks its host for, see guest-port.ts; nobody hears it before the isolate belongs to a function. */
export class Port {
  host: GuestHost | undefined;

  /** Whatever a guest says that is no member of `GuestHost` is left out: its code may have broken what speaks for it. */
  take([name, first, ...others]: readonly unknown[]): void {
    const [second, third, fourth] = others.map(String);
    const request = Number(first);
    if (name === "loadState") this.host?.loadState(request, second ?? "");
    else if (name === "wakeIn") this.host?.wakeIn(request);
    else if (name === "call") this.host?.call(request, Number(second), third ?? "", fourth ?? "");
    else if (name === "callOff") this.host?.callOff(request);
  }
}
