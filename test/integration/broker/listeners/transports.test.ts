import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { generate } from "mqtt-packet";
import type { Broker } from "../../../../src/broker/broker.ts";
import { connectClient } from "../../../support/broker.ts";
import { eventually } from "../../../support/eventually.ts";
import { addressOf, letsIn, ListenerSite, statsOf } from "../../../support/listeners.ts";

let site: ListenerSite;
let broker: Broker;
const CONNECT = generate({ cmd: "connect", clientId: "frames", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 });
const web = { path: "/mqtt", port: 0 };

beforeAll(async () => {
  site = new ListenerSite();
  broker = await site.start({
    plain: { type: "tcp", port: 0 },
    six: { type: "tcp", host: "::1", port: 0 },
    both: { type: "tcp", host: "::", port: 0 },
    tls: { type: "tls", ...site.tls },
    strict: { type: "tls", tls_min: "TLSv1.3", ...site.tls },
    ws: { type: "ws", ...web, origins: ["https://panel.example.com"] },
    wss: { type: "wss", ...web, ...site.tls },
    local: { type: "unix", socket: site.socket },
  });
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

function portOf(name: string): number {
  return Number(/:(\d+)(?:\/|$)/.exec(addressOf(broker, name))?.[1]);
}

function openSocket(path = "/mqtt", protocols = ["mqtt"], origin?: string): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${portOf("ws")}${path}`, protocols, origin === undefined ? {} : { origin });
  socket.on("error", () => undefined);
  return socket;
}

describe("a client of a library", () => {
  it.each(["default", "plain", "six", "tls", "strict", "ws", "wss", "local"])(
    "publishes and subscribes at %s, with every QoS and large messages",
    async (name) => {
      const large = "x".repeat(9_000);
      await using client = await connectClient(addressOf(broker, name), { clientId: name, protocolVersion: 5, ...site.trusting() });
      await client.mqtt.subscribeAsync(`to/${name}/#`, { qos: 2 });
      for (const qos of [0, 1, 2] as const) await client.mqtt.publishAsync(`to/${name}/${qos}`, `${qos}${large}`, { qos });
      await client.mqtt.publishAsync(`in/${name}`, "kept", { qos: 1 });
      await eventually(() => expect(client.heard).toEqual([0, 1, 2].map((qos) => `to/${name}/${qos}=${qos}${large}`)));
      expect(site.intake.texts).toContain(`in/${name}=kept`);
      expect(statsOf(broker, name).connections).toBe(1);
    },
  );

  it("comes by either version of IP where the host is ::", async () => {
    const port = portOf("both");
    for (const host of ["127.0.0.1", "[::1]"]) {
      await using client = await connectClient(`mqtt://${host}:${port}`);
      expect(client.mqtt.connected).toBe(true);
    }
  });

  it("is told of a protocol error before it is cut off, over every transport", async () => {
    for (const name of ["plain", "tls", "ws", "wss", "local"]) {
      await using client = await connectClient(addressOf(broker, name), { protocolVersion: 5, ...site.trusting() });
      const told = new Promise((resolve) => client.mqtt.once("disconnect", (packet) => resolve(packet.reasonCode)));
      client.mqtt.stream.write(Buffer.from([0xc1, 0x00])); // A PINGREQ with a flag that it may not have.
      expect(await told).toBe(0x81);
    }
  });
});

describe("TLS", () => {
  it("is refused in a version that is too old", async () => {
    const old = { host: "127.0.0.1", ca: site.ca.text, maxVersion: "TLSv1.2" } as const;
    const refused = connectTls({ ...old, port: portOf("strict") });
    await expect(once(refused, "secureConnect")).rejects.toThrow(/protocol version/);
    await eventually(() => expect(statsOf(broker, "strict").failed).toBe(1));
    const taken = connectTls({ ...old, port: portOf("tls") });
    await once(taken, "secureConnect");
    taken.destroy();
  });
});

describe("a WebSocket", () => {
  it.each([
    ["another path", 404, "/other", ["mqtt"], undefined],
    ["no sub-protocol of MQTT", 400, "/mqtt", ["chat"], undefined],
    ["no sub-protocol", 400, "/mqtt", [], undefined],
    ["a page from elsewhere", 403, "/mqtt", ["mqtt"], "https://evil.example"],
  ] as const)("with %s is refused with %i", async (_what, status, path, protocols, origin) => {
    const socket = openSocket(path, [...protocols], origin);
    const [, response] = await once(socket, "unexpected-response");
    expect(response).toMatchObject({ statusCode: status });
  });

  it("of a page that is named gets the sub-protocol that it offers", async () => {
    for (const name of ["mqtt", "mqttv3.1"]) {
      const socket = openSocket("/mqtt", ["other", name], "https://panel.example.com");
      await once(socket, "open");
      expect(socket.protocol).toBe(name);
      socket.terminate();
    }
  });

  it("carries packets that begin and end anywhere in frames", async () => {
    const socket = openSocket();
    await once(socket, "open");
    const ping = generate({ cmd: "pingreq" });
    const bytes = Buffer.concat([CONNECT, ping, ping]);
    const answer: Buffer[] = [];
    socket.on("message", (data: Buffer) => answer.push(data));
    for (const byte of bytes.subarray(0, CONNECT.length)) socket.send(Buffer.from([byte]));
    socket.send(bytes.subarray(CONNECT.length, CONNECT.length + 1), { fin: false });
    socket.send(bytes.subarray(CONNECT.length + 1));
    await eventually(() => expect(Buffer.concat(answer).toString("hex")).toBe("20020000d000d000"));
    socket.terminate();
  });

  it("is closed when a frame is text [MQTT-6.0.0-1], and when one is too long", async () => {
    const text = openSocket();
    await once(text, "open");
    text.send(CONNECT.toString("latin1"));
    expect((await once(text, "close"))[0]).toBe(1003);
    const long = openSocket();
    await once(long, "open");
    long.send(Buffer.alloc(400_000));
    expect((await once(long, "close"))[0]).toBe(1009);
    await eventually(() => expect(statsOf(broker, "ws").connections).toBe(0));
  });

  it("that pings and does not take the answers gets the latest when it does, and stays", async () => {
    const socket = openSocket();
    await once(socket, "open");
    socket.send(CONNECT);
    await once(socket, "message");
    const pongs: string[] = [];
    socket.on("pong", (data) => pongs.push(data.toString()));
    const raw: Socket = Reflect.get(socket, "_socket");
    raw.pause();
    const sent = 200_000; // More than the sockets of both sides take answers for.
    for (let n = 1; n <= sent; n++) socket.ping(String(n).padStart(125));
    await eventually(() => expect(raw.writableLength).toBe(0));
    await using other = await connectClient(addressOf(broker, "ws"));
    await other.mqtt.publishAsync("elsewhere", "", { qos: 1 });
    raw.resume();
    await eventually(() => expect(pongs.at(-1)?.trim()).toBe(String(sent)));
    expect(pongs.length).toBeLessThan(sent);
    socket.terminate();
  });

  it.each(["GET", "POST"])("is what a %s request that is none is told of", async (method) => {
    const asked = request({ port: portOf("ws"), path: "/mqtt", method }).end();
    const [response] = await once(asked, "response");
    expect(response.statusCode).toBe(426);
    expect(response.headers).toMatchObject({ upgrade: "websocket", connection: "close" });
    response.resume();
    await once(response, "end");
    await eventually(() => expect(statsOf(broker, "ws").connections).toBe(0));
  });
});

describe("a Unix socket", () => {
  it("has its mode, and goes when the broker stops", async () => {
    const path = `${site.folder}/own.sock`;
    const stopped = await site.start({ own: { type: "unix", socket: path, mode: "0600" } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(site.socket).mode & 0o777).toBe(0o660);
    await stopped.close();
    expect(existsSync(path)).toBe(false);
  });

  it("that a killed process has left is replaced", async () => {
    const path = `${site.folder}/stale.sock`;
    await promisify(execFile)(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`,
    ]).catch(() => undefined);
    expect(statSync(path).isSocket()).toBe(true);
    const second = await site.start({ own: { type: "unix", socket: path } });
    expect(await letsIn(second, "own")).toBe(true);
  });

  it("is not taken from a program that listens, nor from a file that is none", async () => {
    const path = `${site.folder}/taken.sock`;
    const server = createServer().listen(path);
    await once(server, "listening");
    await expect(site.start({ own: { type: "unix", socket: path } })).rejects.toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringContaining(path),
    });
    server.close();
    const file = `${site.folder}/file`;
    writeFileSync(file, "mine");
    await expect(site.start({ own: { type: "unix", socket: file } })).rejects.toMatchObject({ code: "LISTEN_FAILED" });
    expect(existsSync(file)).toBe(true);
    await expect(site.start({ own: { type: "unix", socket: `${site.folder}/no/such.sock` } })).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
  });
});

describe("limits of a listener", () => {
  it("close what never comes to its CONNECT", async () => {
    const quick = await site.start(
      {
        tls: { type: "tls", ...site.tls },
        ws: { type: "ws", ...web },
        proxied: { type: "tcp", port: 0, proxies: ["any"] },
        plain: { type: "tcp", port: 0 },
      },
      { connectMsMax: 100 },
    );
    for (const name of ["tls", "ws", "proxied", "plain"]) {
      const socket = connect(Number(/:(\d+)(?:\/|$)/.exec(addressOf(quick, name))?.[1]), "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(
        name === "plain" ? "" : name === "ws" ? "GET /mqtt HTTP/1.1\r\n" : Buffer.from([0x16]).subarray(name === "proxied" ? 1 : 0),
      );
      await once(socket.resume(), "close");
      await eventually(() => expect(statsOf(quick, name)).toMatchObject({ connections: 0, handshakes: 0 }));
    }
    expect(statsOf(quick, "tls").failed).toBe(1);
    expect(statsOf(quick, "ws").failed).toBe(1);
  });

  it("close what has done its handshake and sends no CONNECT, nor one that never ends", async () => {
    const quick = await site.start({ tls: { type: "tls", ...site.tls }, ws: { type: "ws", ...web } }, { connectMsMax: 100 });
    const socket = new WebSocket(addressOf(quick, "ws"), ["mqtt"]);
    const secured = connectTls({ host: "127.0.0.1", port: Number(new URL(addressOf(quick, "tls")).port), ca: site.ca.text });
    secured.on("error", () => undefined);
    await Promise.all([once(socket, "open"), once(secured, "secureConnect")]);
    const closed = [once(socket, "close"), once(secured.resume(), "close")];
    socket.ping();
    secured.write(CONNECT.subarray(0, -1));
    await Promise.all(closed);
    for (const name of ["tls", "ws"])
      await eventually(() => expect(statsOf(quick, name)).toMatchObject({ accepted: 1, failed: 0, connections: 0, handshakes: 0 }));
  });

  it("bound connections and handshakes, and count what is above", async () => {
    const small = await site.start({
      few: { type: "tcp", port: 0, connections_max: 1 },
      slow: { type: "tls", ...site.tls, handshakes_max: 1 },
    });
    await using first = await connectClient(addressOf(small, "few"));
    expect(await letsIn(small, "few")).toBe(false);
    expect(first.mqtt.connected).toBe(true);
    expect(statsOf(small, "few")).toMatchObject({ connections: 1, accepted: 1, refused: 1 });
    const silent = connect(Number(new URL(addressOf(small, "slow")).port), "127.0.0.1");
    await eventually(() => expect(statsOf(small, "slow").handshakes).toBe(1));
    expect(await letsIn(small, "slow", site.trusting())).toBe(false);
    silent.destroy();
    await eventually(() => expect(statsOf(small, "slow").handshakes).toBe(0));
    expect(await letsIn(small, "slow", site.trusting())).toBe(true);
    expect(statsOf(small, "slow")).toMatchObject({ refused: 1, failed: 0 });
  });
});
