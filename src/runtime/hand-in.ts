import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import { encodeMessage, type Message } from "../core/message.ts";
import { filterOf } from "../core/trigger-filters.ts";
import type { Derived } from "./derived.ts";
import { RouteTable } from "./route.ts";

export interface Running {
  readonly bundle: Bundle;
  readonly version: number;
}

/** What runs functions, as far as it has to be asked. */
export interface Deployment {
  deployed(name: string): Running | undefined;
}

/** @throws MillraceError FUNCTION_UNKNOWN, NOT_FOUND when it is another version */
export function runningVersion(deployment: Deployment, name: string, version: number | undefined): Running {
  const found = deployment.deployed(name);
  if (found === undefined) throw new MillraceError("FUNCTION_UNKNOWN", `no function "${name}" is deployed on this gateway`);
  if (version === undefined || version === found.version) return found;
  throw new MillraceError("NOT_FOUND", `version ${found.version} of "${name}" runs on this gateway, not version ${version}`);
}

export interface HandInPlace extends Deployment {
  append(entry: Derived, done: (error?: Error) => void): void;
}

/**
 * Appends those of the messages that a trigger of the function matches as new ones, in their order. Resolves with their number when all are
 * as safe as any acknowledged message.
 * @throws MillraceError FUNCTION_UNKNOWN, NOT_FOUND, and what appending throws; the first messages may have been appended then
 */
export async function handIn(
  request: { readonly function: string; readonly version?: number | undefined },
  messages: readonly Message[],
  place: HandInPlace,
): Promise<number> {
  const { bundle } = runningVersion(place, request.function, request.version);
  const { name, triggers } = bundle.manifest;
  const table = new RouteTable(
    triggers.map((trigger, index) => ({ owner: name, index, filter: filterOf(trigger, name), key: undefined, durable: true })),
  );
  const wanted = messages.filter(({ topic }) => table.match(topic).length > 0);
  const time = Date.now();
  await Promise.all(
    wanted.map((message) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const { topic, hops } = message;
      place.append({ topic, time, hops, record: encodeMessage({ ...message, time }) }, (error) => (error ? reject(error) : resolve()));
      return promise;
    }),
  );
  return wanted.length;
}
