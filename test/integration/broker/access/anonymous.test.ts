import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addressOf, ListenerSite } from "../../../support/listeners.ts";
import { proxyHeader, proxyTo } from "../../../support/proxy.ts";

const FAR = proxyHeader(0x21, 0x11, [203, 0, 113, 9, 127, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b]);
const RULES = "rules: [{allow: {publish: in/allowed}}]";

let site: ListenerSite;

beforeEach(() => {
  site = new ListenerSite();
});

afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

type Place = "loopback" | "socket" | "far";

/** Whether a client that does not say who it is gets in from there, and where it may publish to then. */
async function outcome(anonymous: string, place: Place): Promise<string> {
  const entries = {
    loopback: { type: "tcp", port: 0, anonymous },
    far: { type: "tcp", port: 0, anonymous, proxies: ["127.0.0.1"] },
    socket: { type: "unix", socket: site.socket, anonymous },
  };
  const broker = await site.start({ [place]: entries[place] }, { access: site.access() });
  const address = addressOf(broker, place);
  if (place !== "far") return tried(address);
  const proxy = await proxyTo({ host: "127.0.0.1", port: Number(new URL(address).port) }, FAR);
  const at = proxy.address();
  const found = await tried(`mqtt://127.0.0.1:${typeof at === "object" && at !== null ? at.port : 0}`);
  proxy.close();
  return found;
}

async function tried(address: string): Promise<string> {
  let client: MqttClient;
  try {
    client = await connectAsync(address, { protocolVersion: 5, reconnectPeriod: 0 });
  } catch (error) {
    return (error as { code?: unknown }).code === 0x87 ? "refused" : String(error);
  }
  const may: string[] = [];
  for (const topic of ["in/allowed", "in/other"])
    await client.publishAsync(topic, "x", { qos: 1 }).then(
      () => may.push(topic),
      () => undefined,
    );
  await client.endAsync();
  return may.length === 0 ? "nothing" : may.length === 2 ? "everything" : `only ${may.join()}`;
}

describe("a client that does not say who it is", () => {
  it.each([
    ["all", "loopback", "everything", "only in/allowed"],
    ["all", "socket", "everything", "only in/allowed"],
    ["all", "far", "nothing", "only in/allowed"],
    ["local", "loopback", "everything", "only in/allowed"],
    ["local", "socket", "everything", "only in/allowed"],
    ["local", "far", "refused", "refused"],
    ["none", "loopback", "refused", "refused"],
    ["none", "socket", "refused", "refused"],
    ["none", "far", "refused", "refused"],
  ] as const)("with anonymous: %s, from %s: %s without an access file, %s with one", async (anonymous, place, without, withFile) => {
    expect(await outcome(anonymous, place)).toBe(without);
    await site[Symbol.asyncDispose]();
    site = new ListenerSite();
    await writeFile(join(site.folder, "access.yaml"), RULES, { mode: 0o600 });
    expect(await outcome(anonymous, place)).toBe(withFile);
  });
});
