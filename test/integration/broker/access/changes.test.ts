import assert from "node:assert/strict";
import { unlink, writeFile } from "node:fs/promises";
import { Duplex } from "node:stream";
import type { Client, PublishPacket } from "aedes";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Access } from "../../../../src/broker/access/access.ts";
import { admittedOf } from "../../../../src/broker/access/admitted.ts";
import { bearerOf } from "../../../../src/broker/access/bearer.ts";
import { hashPassword } from "../../../../src/broker/access/password-hash.ts";
import { updateUsers } from "../../../../src/broker/access/users-file.ts";
import type { Arrival } from "../../../../src/broker/arrival.ts";
import { accessOf } from "../../../support/access.ts";
import { eventually } from "../../../support/eventually.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

const RULES = "rules: [{who: {user: anna}, allow: {publish: out/#, subscribe: in/#}}]";
const ARRIVAL: Arrival = { listener: "default", anonymous: false, address: "10.0.0.3", isLocal: false };
const ANNA = { user: "anna", password: Buffer.from("anna-password") };
const MESSAGE = { cmd: "publish", topic: "out/x", payload: "x", qos: 1, retain: false, dup: false } as unknown as PublishPacket;

let folder: TempFolder;
let access: Access;

beforeEach(async () => {
  folder = await TempFolder.make();
  const password = await hashPassword("anna-password");
  await updateUsers(folder.join("users.json"), (users) => void users.set("anna", { password, groups: [] }));
  await setRules(RULES);
  access = accessOf(folder.path);
});

afterEach(async () => {
  await access[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function setRules(text: string): Promise<void> {
  await writeFile(folder.join("access.yaml"), text, { mode: 0o600 });
}

interface Connection {
  readonly client: Client;
  readonly conn: Duplex;
  /** Of the DISCONNECT packets that it was sent; it does not go by them. */
  readonly codes: number[];
}

/** A connection that takes nothing, so that a DISCONNECT does not end it. */
function connection(id = "c"): Connection {
  const conn = new Duplex({ read: () => undefined });
  const codes: number[] = [];
  const disconnect = ({ reasonCode }: { reasonCode: number }): void => void codes.push(reasonCode);
  return { conn, codes, client: { id, conn, closed: false, version: 5, subscriptions: {}, disconnect } as unknown as Client };
}

it("a change reaches a connection from which another one tried to take over and gave up", async () => {
  const first = connection();
  await access.admit(first.client, ARRIVAL, ANNA);
  const second = connection();
  await access.admit(second.client, ARRIVAL, ANNA);
  second.conn.destroy();
  await updateUsers(folder.join("users.json"), (users) => void users.delete("anna"));
  await eventually(() => expect(first.codes).toEqual([0x87]));
});

it("who is a user no more may do nothing, also while its DISCONNECT waits for a socket that takes nothing", async () => {
  const { client, codes } = connection();
  await access.admit(client, ARRIVAL, ANNA);
  expect(access.publishProblem(client, MESSAGE)).toBeUndefined();
  await updateUsers(folder.join("users.json"), (users) => void users.delete("anna"));
  await eventually(() => expect(codes).toEqual([0x87]));
  expect(access.publishProblem(client, MESSAGE)).toBeDefined();
  expect(access.maySubscribe(client, "in/x")).toBe(false);
  expect(admittedOf(client)?.permit.mayReceive("in/x")).toBe(false);
});

it("a will that waits goes by the rules of the time when it is published", async () => {
  const { client, conn } = connection();
  Reflect.set(client, "_will", MESSAGE);
  await access.admit(client, ARRIVAL, ANNA);
  const bearer = bearerOf(client);
  assert(bearer !== undefined);
  conn.destroy();
  expect(access.willProblem(bearer, MESSAGE)).toBeUndefined();
  await setRules(RULES.replace("out/#", "other/#"));
  await eventually(() => expect(access.willProblem(bearer, MESSAGE)).toBe("no rule of the access file allows it"));
  await setRules(RULES);
  await eventually(() => expect(access.willProblem(bearer, MESSAGE)).toBeUndefined());
  await unlink(folder.join("access.yaml"));
  expect(access.willProblem(bearer, MESSAGE)).toBeUndefined();
  const password = await hashPassword("another-password");
  await updateUsers(folder.join("users.json"), (users) => void users.set("anna", { password, groups: [] }));
  await eventually(() => expect(access.willProblem(bearer, MESSAGE)).toBe("its user is gone or has another password"));
});
