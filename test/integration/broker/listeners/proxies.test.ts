import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Arrival } from "../../../../src/broker/arrival.ts";
import { Listener } from "../../../../src/broker/listeners/listener.ts";
import { listenerRules } from "../../../../src/broker/listeners/rules.ts";
import { loadConfig } from "../../../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../../../src/core/gateway-config.ts";
import { connectClient } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { addressOf, ListenerSite } from "../../../support/listeners.ts";
import { PROXY_SIGNATURE, proxyHeader, proxyTo } from "../../../support/proxy.ts";

const TCP4 = proxyHeader(0x21, 0x11, [203, 0, 113, 9, 127, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b]);
const TCP6 = proxyHeader(0x21, 0x21, [...Buffer.from("20010db8000000000000000000000009000000000000000000000000000000013039075b", "hex")]);
const LOOPBACK4 = proxyHeader(0x21, 0x11, [127, 0, 0, 1, 127, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b]);
const NAT64 = proxyHeader(0x21, 0x21, [...Buffer.from("0064ff9b00000000000000007f000001000000000000000000000000000000013039075b", "hex")]);
const LOCAL = proxyHeader(0x20, 0x00, []);
const UNKNOWN = proxyHeader(0x21, 0x00, []);

let site: ListenerSite;
const log: string[] = [];
const arrivals: Arrival[] = [];
const heard: Buffer[] = [];
const listeners: Listener[] = [];

beforeAll(() => {
  site = new ListenerSite();
});

afterAll(async () => {
  for (const listener of listeners) {
    listener.cut();
    await listener.close();
  }
  await site[Symbol.asyncDispose]();
});

async function start(entry: object): Promise<number> {
  const { mqtt } = loadConfig(GATEWAY_TABLE, { text: JSON.stringify({ mqtt: { listeners: { p: { port: 0, ...entry } } } }), env: {} });
  const config = mqtt.listeners["p"];
  if (config === undefined) throw new Error("no listener");
  const listener = new Listener(listenerRules("p", config), {
    limits: { handshakeMsMax: 10_000, frameBytesMax: 1_000 },
    accept: (stream, arrival) => {
      arrivals.push(arrival);
      stream.on("error", () => undefined).on("data", (data: Buffer) => heard.push(data));
    },
    logger: pino({ level: "warn" }, { write: (line: string) => void log.push(line) }),
  });
  listeners.push(listener);
  await listener.prepare();
  await listener.listen();
  return Number(new URL(listener.address).port);
}

function send(port: number, ...pieces: readonly (Buffer | string)[]): Socket {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined);
  for (const piece of pieces) socket.write(piece);
  return socket.resume();
}

describe("a PROXY header", () => {
  it.each([
    ["of IPv4", TCP4, "203.0.113.9", false, false],
    ["of IPv6", TCP6, "2001:db8::9", false, false],
    ["of a client beside the proxy", LOOPBACK4, "127.0.0.1", true, true],
    ["of one that claims loopback behind NAT64", NAT64, "64:ff9b::7f00:1", false, false],
    ["of the proxy itself", LOCAL, "127.0.0.1", true, true],
    ["of nobody knows whom", UNKNOWN, "127.0.0.1", false, false],
  ] as const)("%s says who comes, and what follows is left whole", async (_what, sent, address, isLocal, anonymous) => {
    const port = await start({ type: "tcp", proxies: ["127.0.0.0/8"] });
    heard.length = 0;
    arrivals.length = 0;
    const whole = send(port, Buffer.concat([sent, Buffer.from("then")]));
    await eventually(() => expect(Buffer.concat(heard).toString()).toBe("then"));
    expect(arrivals).toEqual([{ listener: "p", address, isLocal, anonymous }]);
    const slow = send(port);
    for (const byte of sent) await new Promise<void>((resolve) => slow.write(Buffer.from([byte]), () => resolve()));
    slow.write("slowly");
    await eventually(() => expect(Buffer.concat(heard).toString()).toBe("thenslowly"));
    whole.destroy();
    slow.destroy();
  });

  it.each([
    ["of version 1", "PROXY TCP4 203.0.113.9 127.0.0.1 12345 1883\r\n", /version 1.*send-proxy-v2/],
    ["that is none", Buffer.from("101000044d5154540402003c00046e6f6e65", "hex"), /no PROXY header/],
    ["of an unknown command", proxyHeader(0x2f, 0x11, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), /0x2f/],
    ["for UDP", proxyHeader(0x21, 0x12, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), /0x12/],
    ["that is too short", Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x21, 0x11, 0, 2, 1, 2])]), /too short/],
    ["that is too long", Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])]), /65535 bytes/],
  ] as const)("%s closes the connection, and the log says why", async (_what, sent, reason) => {
    const port = await start({ type: "tcp", proxies: ["any"] });
    log.length = 0;
    const socket = send(port, sent);
    await once(socket, "close");
    expect(log.join("")).toMatch(reason);
    expect(log.join("")).toContain('"listener":"p"');
  });

  it("is taken from the proxies that are named, and others are closed", async () => {
    const port = await start({ type: "tcp", proxies: ["192.0.2.0/24", "2001:db8::1"] });
    log.length = 0;
    await once(send(port, TCP4), "close");
    expect(log.join("")).toMatch(/not come from one of the proxies/);
  });

  it("may come before MQTT, TLS and WebSocket, in one piece with them", async () => {
    await writeFile(join(site.folder, "access.yaml"), "rules: [{who: {address: 203.0.113.9}, allow: {publish: in/#}}]", { mode: 0o600 });
    const common = { proxies: ["any"], anonymous: "all" };
    const listed = {
      tcp: { type: "tcp", port: 0, ...common },
      ws: { type: "ws", port: 0, path: "/mqtt", ...common },
      tls: { type: "tls", ...site.tls, ...common },
      wss: { type: "wss", path: "/mqtt", ...site.tls, ...common },
    };
    const broker = await site.start(listed, { access: site.access() });
    const schemes = { tcp: "mqtt", ws: "ws", tls: "mqtts", wss: "wss" };
    for (const [name, scheme] of Object.entries(schemes)) {
      const target = Number(/:(\d+)(?:\/|$)/.exec(addressOf(broker, name))?.[1]);
      const proxy = await proxyTo({ port: target, host: "127.0.0.1" }, TCP4);
      const address = proxy.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      await using client = await connectClient(`${scheme}://127.0.0.1:${port}/mqtt`, site.trusting());
      await client.mqtt.publishAsync(`in/${name}`, "through", { qos: 1 });
      proxy.close();
    }
    expect(site.intake.texts).toEqual(["in/tcp=through", "in/ws=through", "in/tls=through", "in/wss=through"]);
  });
});

/** Connects, sends, and resets the connection before anybody can take it: this process waits for it. */
const RESET = `
const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1", () => socket.write("sent", () => socket.resetAndDestroy()));
`;

it("a connection of which nobody can tell any more who it is from is not taken for one of a Unix socket", async () => {
  const port = await start({ type: "tcp", anonymous: "all" });
  arrivals.length = 0;
  heard.length = 0;
  execFileSync(process.execPath, ["-e", RESET, String(port)]);
  const socket = send(port, "after it");
  await eventually(() => expect(Buffer.concat(heard).toString()).toBe("after it"));
  expect(arrivals).toEqual([{ listener: "p", address: "127.0.0.1", isLocal: true, anonymous: true }]);
  socket.destroy();
});
