import { backoffMs } from "../core/clock.ts";
import type { Item } from "./item.ts";

/** Tries of a message, one after the other, that had no processor and that nobody is charged with. */
const TRIES_MAX = 20;
const PAUSE = { minMs: 20, maxMs: 10_000 };

/**
 * For how long a message waits that had no processor, before it is tried again. Undefined when it is to be charged with an attempt all the same: a
 * function that takes the processors of the machine itself must come to an end too.
 */
export function pauseOf(item: Item): number | undefined {
  const tries = (item.starved ?? 0) + 1;
  item.starved = tries > TRIES_MAX ? 0 : tries;
  if (tries > TRIES_MAX) return undefined;
  return tries === 1 ? 0 : backoffMs(tries - 1, PAUSE);
}
