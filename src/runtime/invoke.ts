import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import { silentLogger } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import type { InvokeResult } from "../core/stats.ts";
import { triggerText } from "../core/triggers.ts";
import { HostPool } from "./hosts.ts";
import { Outside } from "./outside.ts";
import { Rehearsal, type RehearsalOptions } from "./rehearsal.ts";

export interface InvokeOptions {
  /** Whether what the function fetches is fetched; it is what may not be undone. */
  readonly fetch: boolean;
}

/**
 * Handles one message as if it had arrived, in a host process of its own, with an empty state; commits nothing.
 * @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED, REQUEST_INVALID when no trigger matches the topic
 */
export async function invokeOnce(bundle: Bundle, message: Message, options: InvokeOptions = { fetch: false }): Promise<InvokeResult> {
  const hosts = new HostPool({ shared: 1, spare: false }, silentLogger);
  using outside = new Outside().of(bundle);
  try {
    const call = outside.tried(options);
    return await invokeIn(bundle, message, { hosts, gateway: "local", version: 0, state: () => Promise.resolve([]), call });
  } finally {
    await hosts.close();
  }
}

/** The same in the hosts of a gateway. */
export async function invokeIn(bundle: Bundle, message: Message, options: RehearsalOptions): Promise<InvokeResult> {
  await using rehearsal = await Rehearsal.open(bundle, options);
  const result = await rehearsal.handle({ seq: 0, ...message });
  if (result === undefined) {
    const triggers = bundle.manifest.triggers.map((trigger) => triggerText(trigger)).join(", ");
    throw new MillraceError(
      "REQUEST_INVALID",
      `no trigger of "${bundle.manifest.name}" matches the topic "${message.topic}"; it listens to ${triggers}`,
    );
  }
  const { key: _key, ...shown } = result;
  return shown;
}
