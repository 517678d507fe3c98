import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isPassword } from "../../../src/broker/access/password-hash.ts";
import { readUsers } from "../../../src/broker/access/users-file.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MAIN = join(import.meta.dirname, "../../../src/cli/main.ts");

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let folder: TempFolder;
beforeEach(async () => {
  folder = await TempFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

async function millrace(args: readonly string[], input = ""): Promise<Outcome> {
  const child = spawn(process.execPath, [MAIN, ...args, "--data", folder.path], { env: {}, stdio: "pipe" });
  child.stdin.on("error", () => undefined); // It may end without having read anything.
  child.stdin.end(input);
  const exit = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  const [code, out, err] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  return { code, out, err };
}

describe("millrace users", () => {
  it("adds, changes, lists and removes, and keeps no password", { timeout: 120_000 }, async () => {
    expect(await millrace(["users", "list"])).toMatchObject({ code: 0, out: "there are no users\n" });
    expect(await millrace(["users", "add", "s1", "--group", "sensors"], "first-password\r\n")).toMatchObject({ code: 0, err: "" });
    expect(await millrace(["users", "add", "cam", "--certificate"])).toMatchObject({ code: 0, err: "" });
    const file = folder.join("users.json");
    const first = readUsers(file)?.get("s1")?.password ?? "";
    expect(await isPassword(first, "first-password")).toBe(true);
    expect(await millrace(["users", "passwd", "s1", "--json"], "second-password\n")).toMatchObject({
      code: 0,
      out: '{"ok":true,"name":"s1"}\n',
    });
    expect(await isPassword(readUsers(file)?.get("s1")?.password ?? "", "second-password")).toBe(true);
    expect((await millrace(["users", "groups", "s1", "operators", "line-2"])).code).toBe(0);
    const listed = await millrace(["users", "list", "--json"]);
    expect(JSON.parse(listed.out)).toEqual([
      { name: "cam", groups: [], password: false },
      { name: "s1", groups: ["operators", "line-2"], password: true },
    ]);
    expect((await millrace(["users", "list"])).out).toBe("cam  certificate\ns1   password     operators, line-2\n");
    expect(await readFile(file, "utf8")).not.toMatch(/first-password|second-password/);
    expect((await millrace(["users", "remove", "s1"])).code).toBe(0);
    const audit = (await readFile(folder.join("audit.log"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { reason: string });
    expect(audit.map(({ reason }) => reason)).toEqual([
      "add s1 sensors",
      "add cam",
      "passwd s1",
      "groups s1 operators line-2",
      "remove s1",
    ]);
    expect(await millrace(["users", "remove", "s1"])).toMatchObject({ code: 1, err: expect.stringContaining('no user "s1"') as string });
  });

  it.each([
    [["add"], "x".repeat(10), /name of the user is missing/],
    [["add", "a/b"], "x".repeat(10), /mean something in topics/],
    [["add", "a"], "short\n", /at least 8 characters/],
    [["add", "a"], "", /standard input/],
    [["add", "a", "secret-password"], "", /takes one name/],
    [["list", "a"], "", /takes no name/],
    [["show"], "", /is none of/],
  ])("refuses %j", { timeout: 60_000 }, async (args, input, problem) => {
    expect(await millrace(["users", ...args], input)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(problem) as string });
  });
});

function checkFunction(...args: readonly string[]): Promise<Outcome> {
  return millrace(["access", "check", "--function", "celsius", ...args]);
}

describe("millrace access check", () => {
  const RULES = `rules:
  - name: sensors
    who: {group: sensors}
    allow:
      publish: sensors/%u/#
      subscribe: cmd/%c/#
`;

  it("says what a function may publish, and that it is no client", { timeout: 120_000 }, async () => {
    const file = folder.join("access.yaml");
    const manifest = "no rule of an access file says anything, so the manifest of the function decides";
    expect(await checkFunction("--publish", "cmd/1")).toMatchObject({ code: 0, out: `allowed  publish cmd/1  (${manifest})\n` });
    await writeFile(file, "rules: [{who: {function: cel*}, deny: {publish: cmd/#}}]", { mode: 0o600 });
    expect(await checkFunction("--publish", "cmd/1", "--publish", "x", "--retain", "x")).toMatchObject({
      code: 3,
      out: `denied   publish cmd/1  (rule ${file}:1 denies "cmd/#")\nallowed  publish x  (${manifest})\nallowed  retain x  (${manifest})\n`,
    });
    expect(await checkFunction("--user", "anna", "--publish", "x")).toMatchObject({ code: 2 });
    expect(await checkFunction("--subscribe", "x")).toMatchObject({ code: 2 });
  });

  it("says what is allowed, and which rule says so", { timeout: 120_000 }, async () => {
    await writeFile(folder.join("access.yaml"), RULES, { mode: 0o600 });
    await millrace(["users", "add", "s1", "--group", "sensors"], "some-password\n");
    const file = folder.join("access.yaml");
    expect(await millrace(["access", "check", "--user", "s1", "--publish", "sensors/s1/temp"])).toEqual({
      code: 0,
      out: `allowed  publish sensors/s1/temp  (rule "sensors", ${file}:2 allows "sensors/%u/#")\n`,
      err: "",
    });
    const denied = await millrace([
      "access",
      "check",
      "--user",
      "s1",
      "--client",
      "c",
      "--subscribe",
      "cmd/#",
      "--retain",
      "sensors/s1/x",
      "--publish",
      "$SYS/x",
      "--json",
    ]);
    expect(denied.code).toBe(3);
    expect(JSON.parse(denied.out)).toMatchObject({
      allowed: false,
      answers: [
        { action: "publish", topic: "$SYS/x", allowed: false, why: expect.stringContaining("belong to the broker") as string },
        { action: "subscribe", topic: "cmd/#", allowed: false, why: expect.stringContaining("it would bring messages such as") as string },
        { action: "retain", topic: "sensors/s1/x", allowed: false, why: "no rule of the access file allows it" },
      ],
    });
    expect((await millrace(["access", "check", "--user", "x", "--group", "sensors", "--publish", "sensors/x/a"])).code).toBe(0);
  });

  it("finds mistakes without a question", { timeout: 60_000 }, async () => {
    expect(await millrace(["access", "check", "--publish", "a"])).toMatchObject({ code: 0 });
    expect(await millrace(["access", "check", "--address", "10.0.0.1", "--publish", "a"])).toMatchObject({ code: 3 });
    await writeFile(folder.join("access.yaml"), RULES.replace("allow:", "alow:"), { mode: 0o600 });
    expect(await millrace(["access", "check"])).toMatchObject({ code: 1, err: expect.stringMatching(/access\.yaml:2: .*alow/) as string });
    expect(await millrace(["access", "check", "--address", "here"])).toMatchObject({ code: 2 });
    expect(await millrace(["access", "show"])).toMatchObject({ code: 2 });
  });
});
