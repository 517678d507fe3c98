import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { IClientOptions } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectClient, type TestClient } from "../../support/broker.ts";
import { type Pair, TestCa } from "../../support/certificates.ts";
import { Program } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";

/**
 * The files of the listener are links into another folder, as programs that renew certificates have them. So the gateway does not see that what they lead to is
 * replaced, and what it does is because of SIGHUP; one test replaces the links, which it sees by itself.
 */
const FILES = { certificate: "server.crt", key: "server.key", client_ca: "clients.crt", client_crl: "clients.crl" } as const;

let folder: string;
let ca: TestCa;
let server: Pair;
let good: Pair;
let program: Program;
let address: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-certificates-"));
  ca = new TestCa(join(folder, "ca"));
  server = issueServer("first");
  good = ca.issue("press-7");
  for (const place of ["tls", "kept"]) mkdirSync(join(folder, place));
  replace({ certificate: server.certificate, key: server.key, client_ca: ca.certificate, client_crl: ca.crl });
  for (const name of Object.values(FILES)) symlinkSync(join(folder, "kept", name), join(folder, "tls", name));
  const files = Object.fromEntries(Object.entries(FILES).map(([what, name]) => [what, join(folder, "tls", name)]));
  const listeners = { tls: { type: "tls", host: "127.0.0.1", port: 0, client_certificates: "required", ...files } };
  writeFileSync(join(folder, "gateway.yaml"), JSON.stringify({ mqtt: { port: 0, listeners }, http: { port: 0 }, control: { url: "" } }));
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "data", "access.yaml"), 'rules: [{allow: {publish: "#", subscribe: "#"}}]', { mode: 0o600 });
  program = new Program(["gateway", "--config", join(folder, "gateway.yaml"), "--data", join(folder, "data"), "--json"]);
  const ready = JSON.parse(await program.line()) as { readonly addresses: { readonly tls: string } };
  address = ready.addresses.tls;
});

afterEach(async () => {
  await program[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function issueServer(name: string): Pair {
  return ca.issue(name, "DNS:localhost,IP:127.0.0.1");
}

function kept(what: keyof typeof FILES): string {
  return join(folder, "kept", FILES[what]);
}

/** Puts files where the links of the listener lead to. */
function replace(from: Partial<Record<keyof typeof FILES, string>>): void {
  for (const what of ["certificate", "key", "client_ca", "client_crl"] as const)
    if (from[what] !== undefined) copyFileSync(from[what], kept(what));
}

/** Of the log, how many lines say it. */
function count(text: string): number {
  return program.err.split("\n").filter((line) => line.includes(text)).length;
}

/** Makes the gateway look, and waits until its log says what came of it. */
async function hangUp(says: string): Promise<void> {
  const before = count(says);
  program.child.kill("SIGHUP");
  await eventually(() => expect(count(says)).toBe(before + 1));
}

const REPLACED = "the certificates were replaced";
const KEPT = "changed certificates cannot be used; those from before stay in use";

function options(own: Pair): IClientOptions {
  return { ca: ca.text, cert: readFileSync(own.certificate), key: readFileSync(own.key), protocolVersion: 5 };
}

/** The serial number that somebody sees who comes now. */
async function shown(): Promise<string> {
  const { port } = new URL(address);
  const socket = connectTls({ host: "127.0.0.1", port: Number(port), ...(options(good) as object) });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

function serialOf({ certificate }: Pair): string {
  return /serial=(\w+)/.exec(ca.show(certificate))?.[1] ?? "";
}

async function letsIn(own: Pair): Promise<boolean> {
  try {
    await using client = await connectClient(address, options(own));
    return client.mqtt.connected;
  } catch {
    return false;
  }
}

async function talks({ mqtt }: TestClient): Promise<void> {
  await mqtt.publishAsync("sensors/press", "still there", { qos: 1 });
  expect(mqtt.connected).toBe(true);
}

describe("a gateway that is told to look with SIGHUP", () => {
  it("shows a new certificate to who comes then, and goes on with who is there", async () => {
    await using client = await connectClient(address, options(good));
    const next = issueServer("next");
    replace(next);
    expect(await shown()).toBe(serialOf(server));
    await hangUp(REPLACED);
    expect(await shown()).toBe(serialOf(next));
    await talks(client);
    program.child.kill("SIGTERM");
    expect(await program.exit).toEqual({ code: 0, signal: null });
  });

  it("takes nothing that is damaged, says so, and goes on with what it has", async () => {
    await using client = await connectClient(address, options(good));
    const next = issueServer("next");
    const other = new TestCa(join(folder, "other"));
    const texts = { ca: ca.text, next: readFileSync(next.certificate, "utf8"), crl: readFileSync(ca.crl, "utf8") };
    const whole = { certificate: server.certificate, key: server.key, client_ca: ca.certificate, client_crl: ca.crl };
    const damages: readonly (readonly [keyof typeof FILES, string, string])[] = [
      ["certificate", "", "is no certificate"],
      ["certificate", texts.next.slice(0, 300), "has a certificate in it that is damaged"],
      ["certificate", texts.next, "does not belong to the certificate"],
      ["certificate", `${readFileSync(server.certificate, "utf8")}${texts.next.slice(0, 300)}`, "has a certificate in it that is damaged"],
      ["key", "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n", "is no private key"],
      ["client_ca", `${texts.ca}${other.text.slice(0, 300)}`, "has a certificate in it that is damaged"],
      ["client_crl", `${texts.crl}${texts.crl.slice(0, 200)}`, "has a certificate revocation list in it that is damaged"],
    ];
    for (const [what, text, says] of damages) {
      replace(whole);
      writeFileSync(kept(what), text);
      await hangUp(KEPT);
      expect(program.err.trimEnd().split("\n").at(-1)).toContain(says);
      expect(program.err).not.toMatch(/BEGIN|MI[A-Za-z0-9+/]{20}/);
      expect(await shown()).toBe(serialOf(server));
    }
    expect(await letsIn(good)).toBe(true);
    await talks(client);
    replace({ ...whole, ...next });
    await hangUp(REPLACED);
    expect(await shown()).toBe(serialOf(next));
  });

  it("lets in nobody any more whose certificate is on a new revocation list", async () => {
    const lost = ca.issue("press-8");
    await using stays = await connectClient(address, options(lost));
    ca.revoke(lost);
    replace({ client_crl: ca.crl });
    expect(await letsIn(lost)).toBe(true);
    await hangUp(REPLACED);
    expect(await letsIn(lost)).toBe(false);
    expect(program.err).toContain("CERT_REVOKED");
    expect(await letsIn(good)).toBe(true);
    await talks(stays);
  });

  it("goes by a new CA of clients, and by two while both are in its file", async () => {
    const other = new TestCa(join(folder, "other"), "Other CA");
    const stranger = other.issue("press-9");
    await using client = await connectClient(address, options(good));
    const both = {
      client_ca: `${ca.text}${other.text}`,
      client_crl: [ca.crl, other.crl].map((path) => readFileSync(path, "utf8")).join(""),
    };
    expect(await letsIn(stranger)).toBe(false);
    for (const what of ["client_ca", "client_crl"] as const) writeFileSync(kept(what), both[what]);
    await hangUp(REPLACED);
    expect([await letsIn(good), await letsIn(stranger)]).toEqual([true, true]);
    replace({ client_ca: other.certificate, client_crl: other.crl });
    await hangUp(REPLACED);
    expect([await letsIn(good), await letsIn(stranger)]).toEqual([false, true]);
    await talks(client);
  });
});

it("a gateway sees by itself that its files were replaced, without a signal", async () => {
  await using client = await connectClient(address, options(good));
  const next = issueServer("next");
  for (const what of ["certificate", "key"] as const) {
    const link = join(folder, "tls", FILES[what]);
    copyFileSync(next[what], `${link}.new`);
    renameSync(`${link}.new`, link);
  }
  await eventually(async () => expect(await shown()).toBe(serialOf(next)));
  await talks(client);
});
