import { BlockList } from "node:net";
import { networkOf } from "../../core/addresses.ts";
import type { ListenerConfig } from "../../core/gateway-config.ts";
import type { Endpoint } from "../../core/listen.ts";

/** Where and how a listener of the broker takes connections. */
export interface ListenerRules {
  readonly name: string;
  readonly at: Endpoint | UnixPlace;
  readonly tls?: TlsRules;
  readonly webSocket?: WebSocketRules;
  /** Whose connections begin with a PROXY header; without it none does. */
  readonly proxies?: "any" | BlockList;
  readonly anonymous: ListenerConfig["anonymous"];
  readonly connectionsMax: number;
  /** Connections that are not handed to the broker yet. */
  readonly handshakesMax: number;
}

export interface UnixPlace {
  readonly socket: string;
  /** File mode of the socket. */
  readonly mode: number;
}

export interface TlsRules {
  /** Paths of PEM files. */
  readonly files: { readonly certificate: string; readonly key: string; readonly clientCa?: string; readonly clientCrl?: string };
  readonly minVersion: ListenerConfig["tls_min"];
  readonly clientCertificates: ListenerConfig["client_certificates"];
}

export interface WebSocketRules {
  readonly path: string;
  /** Of web pages; clients without one may come in any case. */
  readonly origins: "any" | ReadonlySet<string>;
}

const DEFAULT_PORTS: Readonly<Record<ListenerConfig["type"], number>> = { tcp: 1883, tls: 8883, ws: 8083, wss: 8084, unix: 0 };

/** Connections beyond the clients that there may be, so that those above that are told why they cannot stay. */
const SPARE_CONNECTIONS = 1_000;

/** The listener that `mqtt.host` and `mqtt.port` describe. It has nothing before MQTT. */
export function defaultRules(endpoint: Endpoint, anonymous: ListenerRules["anonymous"], clientsMax: number): ListenerRules {
  return { name: "default", at: endpoint, anonymous, connectionsMax: clientsMax + SPARE_CONNECTIONS, handshakesMax: SPARE_CONNECTIONS };
}

/** The rules of an entry that the configuration has found right. */
export function listenerRules(name: string, config: ListenerConfig): ListenerRules {
  const { type, proxies, anonymous, connections_max: connectionsMax, handshakes_max: handshakesMax } = config;
  const secure = type === "tls" || type === "wss";
  const web = type === "ws" || type === "wss";
  return {
    name,
    at: placeOf(config),
    anonymous,
    connectionsMax,
    handshakesMax,
    ...(secure ? { tls: tlsRules(config) } : {}),
    ...(web ? { webSocket: { path: config.path, origins: config.origins.includes("any") ? "any" : new Set(config.origins) } } : {}),
    ...(proxies.length === 0 ? {} : { proxies: proxies.includes("any") ? "any" : networks(proxies) }),
  };
}

function placeOf({ type, host, port, socket, mode }: ListenerConfig): ListenerRules["at"] {
  if (type === "unix") return { socket, mode: Number.parseInt(mode, 8) };
  return { host, port: port < 0 ? DEFAULT_PORTS[type] : port };
}

function tlsRules(config: ListenerConfig): TlsRules {
  const { certificate, key, client_ca: clientCa, client_crl: clientCrl } = config;
  return {
    files: { certificate, key, ...(clientCa === "" ? {} : { clientCa }), ...(clientCrl === "" ? {} : { clientCrl }) },
    minVersion: config.tls_min,
    clientCertificates: config.client_certificates,
  };
}

function networks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const network = networkOf(text);
    if (network !== undefined) list.addSubnet(network.address, network.bits, network.family);
  }
  return list;
}
