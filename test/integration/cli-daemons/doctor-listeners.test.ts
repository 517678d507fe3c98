import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import { checkListeners } from "../../../src/cli/doctor/listeners.ts";
import { loadConfig } from "../../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../../src/core/gateway-config.ts";
import { ListenerSite } from "../../support/listeners.ts";

const DAY_MS = 86_400_000;

let site: ListenerSite;
let server: Server | undefined;

beforeEach(() => {
  site = new ListenerSite();
});
afterEach(async () => {
  server?.close();
  server = undefined;
  await site[Symbol.asyncDispose]();
});

async function check(listeners: Readonly<Record<string, object>>, gateway?: string): Promise<Finding[]> {
  const { mqtt } = loadConfig(GATEWAY_TABLE, { text: JSON.stringify({ mqtt: { listeners } }), env: {} });
  return await Array.fromAsync(checkListeners(mqtt.listeners, gateway));
}

async function listenAt(place: { port: number; host: string } | { path: string }): Promise<number> {
  server = createServer().listen(place);
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** From a month ago to so many days from now. */
function until(days: number): { from: Date; to: Date } {
  return { from: new Date(Date.now() - 30 * DAY_MS), to: new Date(Date.now() + days * DAY_MS) };
}

describe("the ports of listeners", () => {
  it("are free, picked at the start, or another program has them", async () => {
    const port = await listenAt({ host: "127.0.0.1", port: 0 });
    const listeners = { field: { type: "tcp", port }, panel: { type: "ws", port: 0, path: "/mqtt" } };
    const [field, panel] = await check(listeners);
    expect(field).toMatchObject({ status: "FAIL", message: expect.stringContaining("mqtt.listeners.field.port: another program") });
    expect(panel).toMatchObject({ status: "ok", message: expect.stringContaining("a free port") });
    expect((await check(listeners, "milan-1"))[0]).toMatchObject({
      status: "ok",
      message: expect.stringContaining('running gateway "milan-1"'),
    });
    server?.close();
    expect((await check(listeners))[0]).toMatchObject({ status: "ok", message: expect.stringContaining("is free") });
  });
});

describe("the certificates of listeners", () => {
  it.each([
    ["good for long", 15, "ok", /good until 20/],
    ["about to end", 13, "warn", /good until 20/],
    ["ended", -1, "FAIL", /the certificate has ended/],
  ] as const)("%s", async (_what, days, status, message) => {
    const pair = site.ca.issue("timed", "DNS:timed", "timed", until(days));
    const [, finding] = await check({ field: { type: "tls", port: 0, ...pair } });
    expect(finding).toMatchObject({ check: "certificate", status, message: expect.stringMatching(message) });
    expect(finding?.remedy === undefined).toBe(status === "ok");
  });

  it("that cannot be used say why, and each listener has its own finding", async () => {
    const other = site.ca.issue("other");
    const found = await check({
      missing: { type: "tls", port: 0, ...site.server, certificate: join(site.folder, "no.crt") },
      mixed: { type: "tls", port: 0, certificate: site.server.certificate, key: other.key },
      list: { type: "wss", port: 0, path: "/mqtt", ...site.server, client_certificates: "required", client_ca: other.key },
      good: { type: "wss", port: 0, path: "/mqtt", ...site.server },
    });
    const certificates = found.filter((finding) => finding.check === "certificate");
    expect(certificates.map(({ status }) => status)).toEqual(["FAIL", "FAIL", "FAIL", "ok"]);
    for (const [index, text] of ["no.crt", "mixed", "list"].entries()) expect(certificates[index]?.message).toContain(text);
    for (const { remedy } of certificates.slice(0, 3)) expect(remedy).toMatch(/\w/);
  });
});

/** What there is to say of a listener at a Unix socket. */
async function only(socket: string, gateway?: string): Promise<Finding | undefined> {
  const [finding, ...more] = await check({ local: { type: "unix", socket } }, gateway);
  expect(more).toEqual([]);
  return finding;
}

describe("a Unix socket of a listener", () => {
  it("can be made where there is nothing", async () => {
    expect(await only(site.socket)).toMatchObject({
      check: "unix socket",
      status: "ok",
      message: `mqtt.listeners.local.socket: ${site.socket} is free`,
    });
    expect(existsSync(site.socket)).toBe(false);
  });

  it("that a killed program has left is replaced by a start, and stays until then", async () => {
    const script = `require("net").createServer().listen(${JSON.stringify(site.socket)}, () => process.kill(process.pid, 9))`;
    await promisify(execFile)(process.execPath, ["-e", script]).catch(() => undefined);
    expect(await only(site.socket)).toMatchObject({ status: "ok", message: expect.stringContaining("left from a program that has ended") });
    expect(statSync(site.socket).isSocket()).toBe(true);
  });

  it("is in use, by a gateway that runs or by another program", async () => {
    await listenAt({ path: site.socket });
    expect(await only(site.socket)).toMatchObject({ status: "FAIL", message: expect.stringContaining("another program listens") });
    expect(await only(site.socket, "milan-1")).toMatchObject({
      status: "ok",
      message: expect.stringContaining('running gateway "milan-1"'),
    });
  });

  it("is no file, and not in a folder that is none", async () => {
    const file = join(site.folder, "file");
    writeFileSync(file, "mine");
    expect(await only(file)).toMatchObject({
      status: "FAIL",
      message: expect.stringContaining("no socket"),
      remedy: expect.stringContaining("Remove"),
    });
    expect(existsSync(file)).toBe(true);
    expect(await only(join(site.folder, "no", "mqtt.sock"))).toMatchObject({
      status: "FAIL",
      message: expect.stringContaining("no folder"),
    });
    expect(await only(join(file, "mqtt.sock"))).toMatchObject({ status: "FAIL", message: expect.stringContaining("not writable") });
  });

  it("is warned of in a folder where everybody may replace it, unless that is sticky", async () => {
    const open = join(site.folder, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    expect(await only(join(open, "mqtt.sock"))).toMatchObject({ status: "warn", remedy: expect.stringContaining(`chmod o-w ${open}`) });
    chmodSync(open, 0o1777);
    expect(await only(join(open, "mqtt.sock"))).toMatchObject({ status: "ok" });
  });
});
