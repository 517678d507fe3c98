import { networkOf } from "./addresses.ts";
import type { GroupSetting, PlainSetting } from "./config-table.ts";

/** Bytes of a Unix socket's path that every system takes; Linux has 107. */
const SOCKET_BYTES_MAX = 103;

export const ANONYMOUS = {
  type: "string",
  default: "local",
  choices: ["local", "all", "none"],
  description:
    "Who may come without saying who they are: `local` those on loopback and Unix sockets, `all` everybody who reaches the listener, `none` nobody.",
} as const satisfies PlainSetting;

const LISTENER_TYPES = ["tcp", "tls", "ws", "wss", "unix"] as const;
type ListenerType = (typeof LISTENER_TYPES)[number];

/** The keys of one further listener of the broker. */
const LISTENER = {
  type: {
    type: "string",
    default: "tcp",
    choices: LISTENER_TYPES,
    description: "How MQTT is carried: `tcp`, `tls`, over WebSocket (`ws`), over WebSocket in TLS (`wss`), or over a Unix socket (`unix`).",
  },
  host: {
    type: "string",
    default: "127.0.0.1",
    check: (text) => (text.trim() === "" ? "it is empty" : /[[\]]/.test(text) ? "an IPv6 address is written without brackets" : undefined),
    description: "Address it listens on: `0.0.0.0` for every network of IPv4, `::` for both versions.",
  },
  port: {
    type: "int",
    default: -1,
    defaultText: "8883 for tls, 8083 for ws, 8084 for wss; tcp needs one",
    min: 0,
    max: 65_535,
    description: "Port; 0 picks a free one.",
  },
  socket: { type: "string", default: "", check: socketProblem, description: "Path of the Unix socket (`unix`)." },
  mode: {
    type: "string",
    default: "0660",
    check: (text) => (/^0?[0-7]{3}$/.test(text) ? undefined : `"${text}" is no file mode such as "0660"`),
    description: "File mode of the Unix socket, in quotes; who may write to it may connect.",
  },
  path: {
    type: "string",
    default: "",
    check: (text) => (/^\/[^?#\s]*$/.test(text) ? undefined : `"${text}" is no path such as /mqtt`),
    description: "Path of the address that WebSocket clients ask for, such as `/mqtt` (`ws`, `wss`).",
  },
  origins: {
    type: "list",
    default: [],
    description:
      "Web pages that may connect, such as `https://panel.example.com` (`ws`, `wss`); `any` for all. Programs that are no browser say no origin, " +
      "or the address of the listener, and need none; with `ws` and a name for an address, those of the second kind do.",
  },
  certificate: {
    type: "string",
    default: "",
    description:
      "PEM file with the certificate of the gateway and those between it and the CA (`tls`, `wss`). It is read again when it changes.",
  },
  key: {
    type: "string",
    default: "",
    description: "PEM file with the private key of the certificate, without a passphrase (`tls`, `wss`).",
  },
  tls_min: {
    type: "string",
    default: "TLSv1.2",
    choices: ["TLSv1.2", "TLSv1.3"],
    description: "Oldest version of TLS that is spoken (`tls`, `wss`).",
  },
  client_certificates: {
    type: "string",
    default: "none",
    choices: ["none", "optional", "required"],
    description: "Whether clients show a certificate (`tls`, `wss`). One that is shown must be good also where it is `optional`.",
  },
  client_ca: {
    type: "string",
    default: "",
    description: "PEM file with the CAs that the certificates of clients come from (`tls`, `wss`).",
  },
  client_crl: {
    type: "string",
    default: "",
    description:
      "PEM file with a certificate revocation list of each of these CAs (`tls`, `wss`). When a list has passed its own next update, no client " +
      "certificate is good.",
  },
  proxies: {
    type: "list",
    default: [],
    description:
      "Addresses or networks (`10.0.0.0/8`) of load balancers that send a PROXY header of version 2 before anything else; `any` for all. " +
      "Others are refused.",
  },
  anonymous: ANONYMOUS,
  connections_max: {
    type: "int",
    default: 10_000,
    min: 1,
    max: 1_000_000,
    unit: "connections",
    description: "Connections at once, whether they have sent a CONNECT or not; further ones are closed.",
  },
  handshakes_max: {
    type: "int",
    default: 1_000,
    min: 1,
    max: 100_000,
    unit: "connections",
    description: "Connections at once whose PROXY header, TLS or WebSocket handshake is under way; further ones are closed.",
  },
} as const satisfies Readonly<Record<string, PlainSetting>>;

/** Which listeners a key is for; one that is not named here is for all of them. */
const FOR: Readonly<Partial<Record<keyof typeof LISTENER, readonly ListenerType[]>>> = {
  host: ["tcp", "tls", "ws", "wss"],
  port: ["tcp", "tls", "ws", "wss"],
  proxies: ["tcp", "tls", "ws", "wss"],
  socket: ["unix"],
  mode: ["unix"],
  path: ["ws", "wss"],
  origins: ["ws", "wss"],
  certificate: ["tls", "wss"],
  key: ["tls", "wss"],
  tls_min: ["tls", "wss"],
  client_certificates: ["tls", "wss"],
  client_ca: ["tls", "wss"],
  client_crl: ["tls", "wss"],
};

/** What a listener cannot do without. */
const NEEDED: Readonly<Record<ListenerType, readonly (keyof typeof LISTENER)[]>> = {
  tcp: ["port"],
  tls: ["certificate", "key"],
  ws: ["path"],
  wss: ["path", "certificate", "key"],
  unix: ["socket"],
};

export const LISTENERS = {
  type: "group",
  default: {},
  description:
    "Further listeners of the broker, each with a name of your choice (small letters and digits). `mqtt.host` and `mqtt.port` are the one " +
    "named `default`.",
  of: LISTENER,
  reserved: ["default", "mqtt", "http"],
  check: listenerProblems,
} as const satisfies GroupSetting;

function listenerProblems(entry: Readonly<Record<string, unknown>>, given: readonly string[]): string[] {
  const type = LISTENER_TYPES.find((each) => each === entry["type"]) ?? "tcp";
  const foreign = given.flatMap((key) => {
    const types = FOR[key as keyof typeof LISTENER];
    return types === undefined || types.includes(type) ? [] : [`${key} is for ${types.join(", ")}, and this listener has the type ${type}`];
  });
  const missing = NEEDED[type].filter((key) => !given.includes(key)).map((key) => `a listener of type ${type} needs ${key}`);
  return [...foreign, ...missing, ...clientProblems(entry), ...listProblems(entry)];
}

function clientProblems(entry: Readonly<Record<string, unknown>>): string[] {
  const { client_certificates: use, client_ca: ca, client_crl: crl } = entry;
  if (use !== "none" && ca === "") return [`client_certificates: ${String(use)} needs client_ca, the CA that they come from`];
  if (use === "none" && (ca !== "" || crl !== "")) return ["client_ca and client_crl need client_certificates: optional or required"];
  return [];
}

function listProblems(entry: Readonly<Record<string, unknown>>): string[] {
  const { proxies, origins } = entry as { readonly proxies: readonly string[]; readonly origins: readonly string[] };
  return [
    ...proxies
      .filter((text) => text !== "any" && networkOf(text) === undefined)
      .map((text) => `proxies: "${text}" is no address, no network such as 10.0.0.0/8, and not any`),
    ...origins
      .filter((text) => text !== "any" && (!URL.canParse(text) || new URL(text).origin !== text))
      .map((text) => `origins: "${text}" is no origin such as https://panel.example.com, and not any`),
  ];
}

function socketProblem(path: string): string | undefined {
  const bytes = Buffer.byteLength(path);
  if (path.trim() === "") return "it is empty";
  return bytes > SOCKET_BYTES_MAX
    ? `the path has ${bytes} bytes, and the path of a Unix socket can have ${SOCKET_BYTES_MAX}; choose a shorter one, such as /run/millrace/mqtt.sock`
    : undefined;
}
