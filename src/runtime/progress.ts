import type { Progress } from "../core/traces.ts";
import { keyed, type Route, type Routed } from "./route.ts";

export interface FunctionProgress {
  readonly function: string;
  readonly version: number;
  readonly progress: Progress;
}

interface Handling {
  readonly name: string;
  readonly version: number;
  isPast(seq: number, key: string): boolean;
}

/** Where the functions stand with a message, along the routes of its topic. */
export function progressOf(routes: readonly Route<Handling>[], message: Routed & { readonly seq: number }): FunctionProgress[] {
  return routes.map((route) => {
    const { owner, key } = keyed(route, message);
    return { function: owner.name, version: owner.version, progress: owner.isPast(message.seq, key) ? "passed" : "waiting" };
  });
}
