import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Broker } from "../../../../src/broker/broker.ts";
import { listenerRules } from "../../../../src/broker/listeners/rules.ts";
import { certificateOf, TlsHandshakes } from "../../../../src/broker/listeners/tls-handshakes.ts";
import { loadConfig } from "../../../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../../../src/core/gateway-config.ts";
import { silentLogger } from "../../../../src/core/log.ts";
import { createServer } from "node:net";
import { connectClient } from "../../../support/broker.ts";
import { type Pair, TestCa } from "../../../support/certificates.ts";
import { eventually } from "../../../support/eventually.ts";
import { addressOf, letsIn, ListenerSite, statsOf } from "../../../support/listeners.ts";

let site: ListenerSite;

beforeAll(() => {
  site = new ListenerSite();
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

/** Puts a pair where a listener reads it, the way that programs which renew certificates do. */
function put(to: Pair, from: Pair): void {
  for (const what of ["certificate", "key"] as const) {
    copyFileSync(from[what], `${to[what]}.new`);
    renameSync(`${to[what]}.new`, to[what]);
  }
}

function placeOf(name: string): Pair {
  return { certificate: join(site.folder, `${name}.crt`), key: join(site.folder, `${name}.key`) };
}

/** The serial number that a listener shows to those who come now. */
async function shown(broker: Broker, name: string): Promise<string> {
  const port = Number(/:(\d+)(?:\/|$)/.exec(addressOf(broker, name))?.[1]);
  const socket = connectTls({ host: "127.0.0.1", port, ca: site.ca.text });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

function serialOf({ certificate }: Pair): string {
  return /serial=(\w+)/.exec(site.ca.show(certificate))?.[1] ?? "";
}

const mutual = (use: string): object => ({
  type: "tls",
  ...site.tls,
  client_certificates: use,
  client_ca: site.ca.certificate,
  client_crl: site.ca.crl,
});

describe("certificates of clients", () => {
  it("must be good where they are required, and where they are shown", async () => {
    const broker = await site.start({ required: mutual("required"), optional: mutual("optional") });
    const good = site.ca.issue("press-7");
    const stranger = new TestCa(join(site.folder, "stranger")).issue("press-7");
    const revoked = site.ca.issue("press-8");
    for (const name of ["required", "optional"]) {
      expect(await letsIn(broker, name, site.trusting(good))).toBe(true);
      expect(await letsIn(broker, name, site.trusting(stranger))).toBe(false);
    }
    expect(await letsIn(broker, "optional", site.trusting())).toBe(true);
    expect(await letsIn(broker, "required", site.trusting())).toBe(false);
    await eventually(() => expect([statsOf(broker, "required").failed, statsOf(broker, "optional").failed]).toEqual([2, 1]));

    await using stays = await connectClient(addressOf(broker, "required"), site.trusting(revoked));
    site.ca.revoke(revoked);
    for (const name of ["required", "optional"])
      await eventually(async () => expect(await letsIn(broker, name, site.trusting(revoked))).toBe(false));
    expect(await letsIn(broker, "required", site.trusting(good))).toBe(true);
    await stays.mqtt.publishAsync("in/revoked", "still there", { qos: 1 });
  });

  it("are not passed by with a session from before", async () => {
    const client = site.ca.issue("press-9");
    const broker = await site.start({ required: mutual("required") });
    const port = Number(new URL(addressOf(broker, "required")).port);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const options = {
        host: "127.0.0.1",
        port,
        maxVersion,
        ca: site.ca.text,
        cert: readFileSync(client.certificate),
        key: readFileSync(client.key),
      };
      const first = connectTls(options);
      await once(first, "secureConnect");
      const session = first.getSession();
      first.destroy();
      const second = connectTls({ ...options, ...(session === undefined ? {} : { session }) });
      await once(second, "secureConnect");
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    }
  });

  it("say who the client is", async () => {
    const { certificate, key, ca } = { ...site.server, ca: site.ca.certificate };
    const named = site.ca.issue("named", "DNS:press-7.example,URI:urn:press:7,email:a@b.example", "Press, 7");
    const entry = { type: "tls", certificate, key, client_certificates: "required", client_ca: ca };
    const config = loadConfig(GATEWAY_TABLE, { text: JSON.stringify({ mqtt: { listeners: { t: entry } } }), env: {} }).mqtt.listeners["t"];
    const rules = config === undefined ? undefined : listenerRules("t", config).tls;
    if (rules === undefined) throw new Error("no rules");
    using handshakes = await TlsHandshakes.create(rules, silentLogger);
    const secured = Promise.withResolvers<TLSSocket>();
    const server = createServer((socket) => void handshakes.secure(socket).then(secured.resolve, secured.reject)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const client = connectTls({
      host: "127.0.0.1",
      port,
      ca: site.ca.text,
      cert: readFileSync(named.certificate),
      key: readFileSync(named.key),
    });
    const socket = await secured.promise;
    expect(certificateOf(socket)).toEqual({
      commonName: "Press, 7",
      names: ["DNS:press-7.example", "URI:urn:press:7", "email:a@b.example"],
      fingerprint: expect.stringMatching(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/),
      serial: serialOf(named),
    });
    client.destroy();
    socket.destroy();
    server.close();
  });
});

describe("new certificates", () => {
  it("count for new clients; connected ones lose nothing, and neither is dropped", async () => {
    const place = placeOf("changing");
    put(place, site.server);
    const broker = await site.start({ tls: { type: "tls", ...place, port: 0 }, wss: { type: "wss", path: "/mqtt", ...place, port: 0 } });
    const publishers = await Promise.all(["tls", "wss"].map((name) => connectClient(addressOf(broker, name), site.trusting())));
    await using listener = await connectClient(addressOf(broker, "default"));
    await listener.mqtt.subscribeAsync("count/#", { qos: 1 });
    let dropped = 0;
    for (const { mqtt } of publishers) mqtt.on("close", () => dropped++);
    const end = new AbortController();
    const sent = publishers.map(async ({ mqtt }, index) => {
      let count = 0;
      for (; !end.signal.aborted; count++) await mqtt.publishAsync(`count/${index}`, String(count), { qos: 1 });
      return count;
    });
    for (let round = 0; round < 5; round++) {
      const next = site.ca.issue(`round${round}`, "DNS:localhost,IP:127.0.0.1");
      put(place, next);
      for (const name of ["tls", "wss"]) await eventually(async () => expect(await shown(broker, name)).toBe(serialOf(next)));
    }
    end.abort();
    const counts = await Promise.all(sent);
    const expected = counts.flatMap((count, index) => Array.from({ length: count }, (_, n) => `count/${index}=${n}`));
    expect(Math.min(...counts)).toBeGreaterThan(10);
    await eventually(() => expect(listener.heard.toSorted()).toEqual(expected.toSorted()));
    expect(dropped).toBe(0);
    for (const { mqtt } of publishers) await mqtt.endAsync(true);
  });

  it("are not used while they are half written, nor when they are nonsense", async () => {
    const place = placeOf("half");
    put(place, site.server);
    const broker = await site.start({ tls: { type: "tls", ...place, port: 0 } });
    const next = site.ca.issue("next", "DNS:localhost,IP:127.0.0.1");
    copyFileSync(next.certificate, place.certificate);
    expect(await shown(broker, "tls")).toBe(serialOf(site.server));
    writeFileSync(place.certificate, "no certificate");
    expect(await shown(broker, "tls")).toBe(serialOf(site.server));
    rmSync(place.certificate);
    expect(await shown(broker, "tls")).toBe(serialOf(site.server));
    put(place, next);
    await eventually(async () => expect(await shown(broker, "tls")).toBe(serialOf(next)));
  });
});

describe("mistakes", () => {
  it.each([
    ["a file that is not there", "FILE_UNREADABLE", () => ({ certificate: join(site.folder, "none.crt") })],
    ["a key of another certificate", "CERTIFICATE_INVALID", () => ({ key: site.ca.issue("other").key })],
    ["a certificate that is none", "CERTIFICATE_INVALID", () => ({ certificate: site.server.key })],
    ["a key that is none", "CERTIFICATE_INVALID", () => ({ key: site.server.certificate })],
    [
      "a revocation list that is none",
      "CERTIFICATE_INVALID",
      () => ({ client_certificates: "required", client_ca: site.ca.certificate, client_crl: site.ca.certificate }),
    ],
  ] as const)("such as %s keep the broker from starting: %s", async (_what, code, change) => {
    const error: unknown = await site.start({ tls: { type: "tls", ...site.tls, ...change() } }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(String(error)).not.toMatch(/BEGIN|MI[A-Za-z0-9+/]{20}/);
  });

  it("do not let a pair with a passphrase pass", async () => {
    const locked = join(site.folder, "locked.key");
    await promisify(execFile)("openssl", ["pkey", "-in", site.server.key, "-aes256", "-passout", "pass:secret", "-out", locked]);
    await expect(site.start({ tls: { type: "tls", ...site.tls, key: locked } })).rejects.toThrow(/passphrase/);
  });
});
