import type { Client } from "aedes";
import { sendPacket } from "./encode.ts";
import { forwarderOf } from "./forward.ts";
import { REASON } from "./reasons.ts";

/** What is used of a CONNECT. */
interface Connect {
  readonly protocolVersion?: number;
  readonly keepalive?: number;
  readonly properties?: { readonly topicAliasMaximum?: number };
}

/** The longest silence that a version 5 client may ask for; one that asks for more is told this one (MQTT 5, 3.2.2.3.14). */
const KEEP_ALIVE_SECONDS_MAX = 60;

/** Notes of a CONNECT what the protocol engine does not keep. To be called before it goes on with it. */
export function noteConnect(client: Client, { protocolVersion, keepalive = 0, properties }: Connect): void {
  if (protocolVersion !== 5) return;
  forwarderOf(client)?.aliases.allow(properties?.topicAliasMaximum ?? 0);
  // The engine has a limit of its own, but refuses clients of earlier versions with it.
  if (keepalive > KEEP_ALIVE_SECONDS_MAX) Reflect.set(client, "_serverKeepAlive", KEEP_ALIVE_SECONDS_MAX);
}

/** Return code of a CONNACK before version 5. */
const SERVER_UNAVAILABLE = 3;

/** Tells a client that there are as many as there may be (MQTT 5, 3.2.2.2). To be called before the connection is ended. */
export function refuseQuota({ conn }: Client, { protocolVersion: version = 4 }: Connect): void {
  const said = { reasonCode: REASON.quotaExceeded, properties: { reasonString: "there are as many clients as there may be" } };
  sendPacket({ cmd: "connack", sessionPresent: false, ...(version === 5 ? said : { returnCode: SERVER_UNAVAILABLE }) }, conn, version);
}
