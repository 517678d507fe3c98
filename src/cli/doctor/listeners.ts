import { listenerRules } from "../../broker/listeners/rules.ts";
import { materialOf, readTlsFiles } from "../../broker/listeners/tls-files.ts";
import { MillraceError } from "../../core/errors.ts";
import type { ListenerConfig } from "../../core/gateway-config.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";
import { checkPort } from "./network.ts";
import { checkUnixSocket } from "./unix-socket.ts";

const ENDING_MS = 14 * 86_400_000;

/** The ports, sockets and certificates of the broker's further listeners. */
export async function* checkListeners(
  listeners: Readonly<Record<string, ListenerConfig>>,
  gateway: string | undefined,
): AsyncGenerator<Finding> {
  for (const [name, config] of Object.entries(listeners)) {
    const { at, tls } = listenerRules(name, config);
    if ("socket" in at) yield await checkUnixSocket(`mqtt.listeners.${name}.socket`, at.socket, gateway);
    else yield await checkPort(`mqtt.listeners.${name}.port`, at, gateway);
    if (tls === undefined) continue;
    try {
      yield ending(name, materialOf(tls, await readTlsFiles(tls)).validTo);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      yield fail("certificate", `mqtt.listeners.${name}: ${error.message}`, error.hint);
    }
  }
}

function ending(name: string, validTo: Date): Finding {
  const left = validTo.getTime() - Date.now();
  const message = `mqtt.listeners.${name}: the certificate is good until ${validTo.toISOString()}`;
  if (left > ENDING_MS) return ok("certificate", message);
  const renew = "Replace the files of the certificate and its key; a running gateway takes them without a restart.";
  return left > 0 ? warn("certificate", message, renew) : fail("certificate", `mqtt.listeners.${name}: the certificate has ended`, renew);
}
