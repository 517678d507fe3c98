import { join } from "node:path";
import type { AedesOptions } from "aedes";
import type { GatewayConfig } from "../core/gateway-config.ts";
import type { Endpoint } from "../core/listen.ts";
import type { Logger } from "../core/log.ts";
import type { Access } from "./access/access.ts";
import type { QueueLimits } from "./bounds/queue-bounds.ts";
import type { RetainedLimits } from "./bounds/retained-messages.ts";
import type { Accept } from "./listeners/listener.ts";
import { Listeners } from "./listeners/listeners.ts";
import { defaultRules, listenerRules, type ListenerRules } from "./listeners/rules.ts";
import type { SessionLimits } from "./session-ends.ts";

/** The topic, packet type and property sizes that may come on top of a payload. */
const PACKET_OVERHEAD_BYTES = 128 * 1024;

const CONNECT_MS_MAX = 10_000;

export interface BrokerOptions {
  readonly gateway: string;
  /** Of the listener "default". */
  readonly endpoint: Endpoint;
  /** Who may come to it without saying who they are; `local` without it. */
  readonly anonymous?: ListenerRules["anonymous"];
  /** Further ones. */
  readonly listeners?: readonly ListenerRules[];
  /** How long handshakes may take, and a CONNECT after them; 10 s without it. */
  readonly connectMsMax?: number;
  /** Folder of the sessions. */
  readonly location: string;
  readonly payloadBytesMax: number;
  readonly clientsMax: number;
  /** Messages of one client that may wait for their acknowledgement (Receive Maximum of MQTT 5, 3.2.2.3.3). */
  readonly inflightMax: number;
  /** Bytes of what clients have sent and the broker is not done with, for all of them together. */
  readonly inflightBytesMax: number;
  /** Of what waits in the queues of sessions. */
  readonly queues: QueueLimits;
  /** Of retained messages, all together. */
  readonly retained: RetainedLimits;
  /** Of sessions whose clients are away. */
  readonly sessions: SessionLimits;
  /** Whether the copies of acknowledged messages survive a power cut: only with `fsync`. A killed process loses none in any case. */
  readonly durability: "fsync" | "interval" | "os";
  /** Who may come in and do what. */
  readonly access: Access;
  /** Called with the folder of the sessions after each sync of it: what it has now, a power cut leaves. */
  readonly synced?: (location: string) => Promise<void>;
}

export function brokerOptions({ id, data, mqtt, journal }: GatewayConfig, access: Access): BrokerOptions {
  return {
    gateway: id,
    endpoint: { host: mqtt.host, port: mqtt.port },
    anonymous: mqtt.anonymous,
    listeners: Object.entries(mqtt.listeners).map(([name, each]) => listenerRules(name, each)),
    location: join(data, "sessions"),
    payloadBytesMax: mqtt.payload_bytes_max,
    clientsMax: mqtt.clients_max,
    inflightMax: mqtt.inflight_max,
    inflightBytesMax: mqtt.inflight_bytes_max,
    sessions: { max: mqtt.sessions_max, ageSecondsMax: Math.ceil(mqtt.session_age_max / 1_000) },
    retained: { messagesMax: mqtt.retained_max, bytesMax: mqtt.retained_bytes_max },
    queues: { messagesMax: mqtt.queue_messages_max, bytesMax: mqtt.queue_bytes_max, totalBytesMax: mqtt.queues_bytes_max },
    durability: journal.durability,
    access,
  };
}

export function listenersOf(options: BrokerOptions, accept: Accept, logger: Logger): Listeners {
  const { endpoint, anonymous = "local", clientsMax, listeners = [], connectMsMax = CONNECT_MS_MAX, payloadBytesMax } = options;
  // A packet that is a little too long is refused as MQTT has it, with a reason.
  const limits = { handshakeMsMax: connectMsMax, frameBytesMax: payloadBytesMax + 2 * PACKET_OVERHEAD_BYTES };
  return new Listeners([defaultRules(endpoint, anonymous, clientsMax), ...listeners], { limits, accept, logger });
}

export function engineOptions(options: BrokerOptions): AedesOptions {
  return {
    id: options.gateway,
    maximumPacketSize: options.payloadBytesMax + PACKET_OVERHEAD_BYTES,
    receiveMaximum: options.inflightMax,
    maxClientsIdLength: 256,
    topicAliasMaximum: 100,
    sessionExpiryIntervalLimit: options.sessions.ageSecondsMax,
    connectTimeout: options.connectMsMax ?? CONNECT_MS_MAX,
  };
}
