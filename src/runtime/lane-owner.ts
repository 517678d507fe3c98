import type { Manifest } from "../core/manifest.ts";
import { type ItemResult, tryDecode } from "./effects.ts";
import type { InstanceEvents, InstanceHandle } from "./guarded-host.ts";
import type { Fault } from "./host/frames.ts";
import type { Verdict } from "./idempotency.ts";
import { giveUpOf, type Item, pushForget, pushItem } from "./item.ts";
import type { Trial } from "./trial.ts";
import type { Batch } from "./under-way.ts";

/** What became of an item. Deferred and waiting ones do not appear: they come again. */
export interface Outcome {
  readonly item: Item;
  readonly result: ItemResult;
  /** Given up: `result` carries the error. */
  readonly dead: boolean;
}

/** That results were not taken from some place on, although the isolate believes them done: it has to be replaced. */
export interface Refusal {
  /** So many outcomes were taken. */
  readonly taken: number;
  /** The last of them, which was refused; undefined when those behind were refused together, and are to be handled one by one. */
  readonly item: Item | undefined;
}

/** What a lane needs from its function. */
export interface LaneOwner {
  readonly manifest: Manifest;
  /** Name of the gateway, and of the function. */
  readonly gateway: string;
  readonly name: string;
  /** Whether somebody waits for what becomes of messages of this trigger. */
  isAwaited(trigger: number): boolean;
  /** Where isolates belong; something else when that has changed, and `pump` follows. */
  readonly place: unknown;
  /** On trial for `owner`, unless that is "none". Waits for as long as nothing of the function may run. */
  load(events: InstanceEvents, trial: Trial, owner: object): Promise<InstanceHandle>;
  /** An instance has handled its first batch, for which it has computed so long. */
  readonly starts: { firstCall(ms: number): void };
  /** So many messages of a batch came to an end in `wallMs`, in which the isolate computed for `cpuMs`. Not counted while somebody looks into it. */
  measured(count: number, wallMs: number, cpuMs: number): void;
  /** A batch had to be stopped. */
  wasCut(): void;
  /** It is certain that a host died of the function. */
  killedHost(fault: Fault): void;
  /**
   * Commits what is finished. Called for a batch at a time, in order. When something was refused, what the isolate remembers is not what is stored,
   * and nothing behind was taken.
   */
  settle(outcomes: readonly Outcome[]): Refusal | undefined;
  /** A batch of several messages had to be stopped, and they are handled one by one. */
  wasParted(items: readonly Item[], fault: Fault): void;
  /** To be asked before results are settled; when it answers with a promise, settling has to wait for that. It rejects only when the function stops. */
  prepare(items: readonly Item[], results: readonly ItemResult[]): Promise<void> | undefined;
  /** State as of everything settled so far. Rejects only when the function stops. */
  loadState(keys: readonly string[]): Promise<string>;
  /** State that was asked for may be missing, because it cannot be read. */
  readonly cannotRead: boolean;
  /** A message that cannot be handled has to wait, because there is no room for it among the dead letters. */
  readonly lettersFull: boolean;
  /** Nothing new is to be sent for now; `pump` follows when that has changed. */
  readonly held: boolean;
  /** Takes an item of a key that waits out of memory; it is offered again after `goOn`. False when that is not possible. */
  setAside(item: Item): boolean;
  /** Whether messages have to be asked about with `admit` before they are handled. */
  readonly admits: boolean;
  /** What is to be done with a message now; one that is left out is settled. After "wait", `resume` with its mark follows. */
  admit(item: Item): Verdict;
  /** The key does not wait any more, or hardly. */
  goOn(key: string): void;
  /** No instance could be made; the lane tries again. */
  loadFailed(error: unknown): void;
}

/** Undefined when the isolate has not kept to what it may say. With `strict` order some may wait for an earlier message. */
export function readResults(batch: Batch, bytes: Buffer, strict: boolean): ItemResult[] | undefined {
  const results = tryDecode(bytes, batch.items.length, strict);
  // Without this an isolate could hold back the first message of a key for ever.
  const isStuck = (item: Item): boolean => results?.[batch.items.indexOf(item)]?.status === "deferred";
  return batch.resumed.some(isStuck) ? undefined : results;
}

/** What a host gets of a batch. It is decided now after which failure each of them is given up. */
export function framed(items: readonly Item[], owner: LaneOwner, forgets: boolean): readonly Uint8Array[] {
  const now = Date.now();
  const parts: Uint8Array[] = [];
  for (const item of items) {
    item.giveUp = owner.lettersFull ? "never" : giveUpOf(item, owner.isAwaited(item.trigger), owner.manifest.retry, now);
    pushItem(parts, item, owner);
  }
  if (forgets) pushForget(parts);
  return parts;
}

/** What a lane needs of whoever has several of them. */
export interface LaneTies {
  /** Whether the isolate is there when there is nothing to do, too. */
  isKept(): boolean;
  /** Something has come back, and what could be sent was sent. */
  wentOn(): void;
}

/** Whether a batch was stopped for something that none of its messages has done. */
export function isInnocent({ code }: Fault, { cannotRead }: Pick<LaneOwner, "cannotRead">): boolean {
  return code === "HOST_STARVED" || (code === "LIMIT_WALL" && cannotRead);
}

/** The isolate has decided the same by the flags of the item. */
function isGivenUp({ giveUp }: Item, { status }: ItemResult): boolean {
  return (status === "retry" && giveUp === "always") || (status === "failed" && giveUp !== "never");
}

/** Many items that were each within the limit may exceed it together; then nobody is to blame. Whether the one that was running exceeds it alone. */
export function isOneAbove(
  { fault, elapsedMs }: { readonly fault: Fault; readonly elapsedMs: number },
  limits: Manifest["limits"],
): boolean {
  const { cpuMs, wallMs } = limits;
  return elapsedMs >= ({ LIMIT_CPU: cpuMs, LIMIT_WALL: wallMs / 2 }[fault.code] ?? Infinity);
}

/** What came of the items, as far as there are results. */
export function outcomesOf(items: readonly Item[], results: readonly ItemResult[]): readonly Outcome[] {
  return results.flatMap((result, index) => {
    const item = items[index];
    return item === undefined ? [] : [{ item, result, dead: isGivenUp(item, result) }];
  });
}
