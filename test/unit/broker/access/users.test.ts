import { chmod, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hashPassword, hashProblem, isPassword } from "../../../../src/broker/access/password-hash.ts";
import { Turns } from "../../../../src/broker/access/turns.ts";
import { Users } from "../../../../src/broker/access/users.ts";
import { readUsers, updateUsers } from "../../../../src/broker/access/users-file.ts";
import { WatchedFile } from "../../../../src/broker/access/watched-file.ts";
import { HandClock } from "../../../support/hand-clock.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

/** Of "password", from the tests of the reference implementation of argon2. */
const ARGON2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

let folder: TempFolder;
beforeEach(async () => {
  folder = await TempFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe("a stored password", () => {
  it("is known again, and no other", async () => {
    const stored = await hashPassword("correct horse");
    expect(stored).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/);
    expect(stored).not.toBe(await hashPassword("correct horse"));
    expect(await isPassword(stored, "correct horse")).toBe(true);
    expect(await isPassword(stored, "correct horsf")).toBe(false);
    expect(await isPassword(stored, "")).toBe(false);
  });

  it("may be an argon2 hash from elsewhere", async () => {
    expect(hashProblem(ARGON2)).toBeUndefined();
    expect(await isPassword(ARGON2, "password")).toBe(true);
    expect(await isPassword(ARGON2, "passwort")).toBe(false);
  });

  it.each([
    "",
    "plain",
    "$2b$10$abcdefghijklmnopqrstuv",
    "$scrypt$ln=14,r=8,p=1$c2FsdA$aGFzaA",
    "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g",
    ARGON2.replace("65536", "999999"),
  ])("is refused as %j", (stored) => {
    expect(hashProblem(stored)).toBeDefined();
  });
});

describe("the users file", () => {
  it("is for its owner only, and keeps what others have changed", async () => {
    const file = folder.join("sub/users.json");
    expect(readUsers(file)).toBeUndefined();
    await Promise.all(["b", "a", "c"].map((name) => updateUsers(file, (users) => void users.set(name, { groups: ["g"] }))));
    expect([...(readUsers(file) ?? [])].map(([name]) => name)).toEqual(["a", "b", "c"]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it.each([
    ["", /no JSON/],
    ["{}", /version/],
    ['{"version":2,"users":{}}', /version/],
    ['{"version":1,"users":{"a":{"password":"plain-text-password"}}}', /password of user "a".*no scrypt/],
    ['{"version":1,"users":{"a/b":{}}}', /user "a\/b"/],
    ['{"version":1,"users":{"a":{"groups":["x#"]}}}', /user "a"/],
    ['{"version":1,"users":{"a":{"pasword":""}}}', /users\.a/],
  ])("is refused as %j, without a word of its passwords", async (text, problem) => {
    const file = folder.join("users.json");
    await writeFile(file, text, { mode: 0o600 });
    const failure = expect.objectContaining({ code: "USERS_INVALID", message: expect.stringMatching(problem) as string }) as Error;
    expect(() => readUsers(file)).toThrow(failure);
    expect(() => readUsers(file)).not.toThrow(/plain-text-password/);
  });

  it("is refused when others can read it", async () => {
    const file = folder.join("users.json");
    await updateUsers(file, (users) => void users.set("a", { groups: [] }));
    await chmod(file, 0o644);
    expect(() => readUsers(file)).toThrow(/chmod 600/);
  });

  it("goes on to count as it was when it is changed for the worse, or is gone", async () => {
    const file = folder.join("users.json");
    await updateUsers(file, (users) => void users.set("a", { groups: [] }));
    const watched = new WatchedFile(file, readUsers);
    await writeFile(file, "{");
    expect(() => watched.look()).toThrow(/no JSON/);
    expect(watched.look()).toBe(false);
    expect(watched.value?.has("a")).toBe(true);
    await folder[Symbol.asyncDispose]();
    expect(() => watched.look()).toThrow(/not there any more/);
    expect(watched.value?.has("a")).toBe(true);
    folder = await TempFolder.make();
  });
});

describe("users", () => {
  it("are who they say they are with their password, and not without", async () => {
    const table = new Map([
      ["anna", { password: await hashPassword("anna-password"), groups: ["g"] }],
      ["device", { groups: [] }],
    ]);
    const users = new Users(() => table, new HandClock(0));
    const check = (name: string, password: string): Promise<unknown> => users.check(name, Buffer.from(password));
    expect(await check("anna", "anna-password")).toMatchObject({ groups: ["g"] });
    expect(await check("anna", "anna-passwore")).toBe("wrong");
    expect(await check("anna", "x".repeat(2_000))).toBe("wrong");
    expect(await check("device", "")).toBe("wrong");
    expect(await check("nobody", "anna-password")).toBe("wrong");
    table.set("anna", { password: await hashPassword("new-password"), groups: [] });
    expect(await check("anna", "anna-password")).toBe("wrong");
    expect(await check("anna", "new-password")).toMatchObject({ groups: [] });
    table.delete("anna");
    expect(await check("anna", "new-password")).toBe("wrong");
  });
});

describe("turns", () => {
  it("let so much run, so much wait, and nothing run that nobody waits for", async () => {
    const clock = new HandClock(0);
    const turns = new Turns({ atOnce: 2, waitingMax: 2, waitMs: 1_000 }, clock);
    const gates = Array.from({ length: 4 }, () => Promise.withResolvers<number>());
    const began: number[] = [];
    const runs = gates.map(({ promise }, index) =>
      turns.run(() => {
        began.push(index);
        return promise;
      }),
    );
    expect(await turns.run(() => Promise.resolve(9))).toBeUndefined();
    expect(began).toEqual([0, 1]);
    gates[0]?.resolve(0);
    expect(await runs[0]).toBe(0);
    clock.advance(1_001);
    gates[1]?.resolve(1);
    gates[2]?.resolve(2);
    expect(await runs[2]).toBe(2);
    expect(await runs[3]).toBeUndefined();
    expect(began).toEqual([0, 1, 2]);
    expect(await turns.run(() => Promise.resolve(5))).toBe(5);
  });
});
