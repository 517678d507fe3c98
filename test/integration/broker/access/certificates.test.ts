import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import { connectClient } from "../../../support/broker.ts";
import { addressOf, ListenerSite } from "../../../support/listeners.ts";

const RULES = `
rules:
  - who: {group: presses}
    allow: {publish: in/%u/temp}
`;

let site: ListenerSite;

beforeEach(async () => {
  site = new ListenerSite();
  await writeFile(join(site.folder, "access.yaml"), RULES, { mode: 0o600 });
  await updateUsers(join(site.folder, "users.json"), (users) => {
    for (const name of ["press-7", "press-7.example", "urn:press:7"]) users.set(name, { groups: ["presses"] });
  });
});

afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

it.each([
  ["its common name", "common-name", "DNS:press-7.example", "press-7"],
  ["its first alternative name", "alternative-name", "DNS:press-7.example,URI:urn:press:7", "press-7.example"],
  [
    "its first alternative name of a kind that says who it is",
    "alternative-name",
    "otherName:1.2.3.4;UTF8:any,URI:urn:press:7",
    "urn:press:7",
  ],
])("a client with a certificate publishes by the rules for %s, over TLS and WebSocket", async (_what, identity, names, user) => {
  const access = site.access(`mqtt.certificate_identity: ${identity}`);
  const entry = { ...site.tls, client_certificates: "required", client_ca: site.ca.certificate };
  const broker = await site.start({ tls: { type: "tls", ...entry }, wss: { type: "wss", path: "/mqtt", ...entry } }, { access });
  const own = site.ca.issue("press-7", names);
  for (const name of ["tls", "wss"]) {
    await using client = await connectClient(addressOf(broker, name), {
      ...site.trusting(own),
      protocolVersion: 5,
      username: "somebody-else",
    });
    await client.mqtt.publishAsync(`in/${user}/temp`, name, { qos: 1 });
    await expect(client.mqtt.publishAsync("in/somebody-else/temp", "x", { qos: 1 })).rejects.toThrow(/not authorized/i);
  }
  expect(site.intake.texts).toEqual([`in/${user}/temp=tls`, `in/${user}/temp=wss`]);
});
