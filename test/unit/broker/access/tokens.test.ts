import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KeySet, keysFromFile, RemoteKeys } from "../../../../src/broker/access/key-set.ts";
import { looksLikeToken, type TokenRules, Tokens } from "../../../../src/broker/access/tokens.ts";
import { silentLogger } from "../../../../src/core/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { HandClock } from "../../../support/hand-clock.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

const NOW_S = 1_800_000_000;
const RULES: TokenRules = {
  algorithms: ["ES256", "RS256"],
  issuer: "https://login.example.com",
  audience: "gateways",
  userClaim: "sub",
  groupsClaim: "groups",
  leewayMs: 30_000,
};

interface Signer {
  readonly jwk: object;
  readonly kid: string;
  sign(claims?: object, header?: object): Promise<string>;
}

async function signer(kid: string, alg = "ES256"): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const standard = { sub: "s1", iss: RULES.issuer, aud: RULES.audience, exp: NOW_S + 60 };
  return {
    kid,
    jwk: { ...(await exportJWK(publicKey)), kid, alg },
    sign: (claims = {}, header = {}) =>
      new SignJWT(JSON.parse(JSON.stringify({ ...standard, ...claims })) as Record<string, unknown>)
        .setProtectedHeader({ alg, kid, ...header })
        .sign(privateKey),
  };
}

let folder: TempFolder;
let clock: HandClock;
beforeEach(async () => {
  folder = await TempFolder.make();
  clock = new HandClock(NOW_S * 1_000);
});
afterEach(() => folder[Symbol.asyncDispose]());

async function fileOf(...signers: readonly Signer[]): Promise<string> {
  const file = folder.join("keys.json");
  await writeFile(file, JSON.stringify({ keys: signers.map(({ jwk }) => jwk) }));
  return file;
}

function tokensWith(keys: KeySet, rules: Partial<TokenRules> = {}): Tokens {
  return new Tokens(keys, { ...RULES, ...rules }, clock);
}

describe("a token", () => {
  it("says who comes, in which groups and for how long", async () => {
    const one = await signer("k1");
    const tokens = tokensWith(keysFromFile(await fileOf(one), silentLogger));
    const token = await one.sign({ groups: ["sensors"] });
    expect(looksLikeToken(Buffer.from(token))).toBe(true);
    expect(await tokens.check(token)).toEqual({ user: "s1", groups: ["sensors"], proof: "token", until: (NOW_S + 90) * 1_000 });
    const other = tokensWith(keysFromFile(await fileOf(one), silentLogger), { userClaim: "device", groupsClaim: "roles" });
    expect(await other.check(await one.sign({ device: "d7", roles: ["a"] }))).toMatchObject({ user: "d7", groups: ["a"] });
  });

  it.each([
    [{ exp: NOW_S - 31 }, "its time is over"],
    [{ exp: undefined }, /"exp"/],
    [{ nbf: NOW_S + 31 }, /"nbf"/],
    [{ iss: "https://evil.example.com" }, /"iss"/],
    [{ aud: "others" }, /"aud"/],
    [{ sub: undefined }, /"sub"/],
    [{ sub: "" }, /"sub"/],
    [{ sub: 7 }, /"sub"/],
    [{ groups: "operators" }, /"groups"/],
    [{ groups: [7] }, /"groups"/],
  ])("is refused with %j", async (claims, problem) => {
    const one = await signer("k1");
    const tokens = tokensWith(keysFromFile(await fileOf(one), silentLogger));
    expect(await tokens.check(await one.sign(claims))).toEqual(expect.stringMatching(problem));
  });

  it("is taken within the leeway", async () => {
    const one = await signer("k1");
    const tokens = tokensWith(keysFromFile(await fileOf(one), silentLogger));
    expect(await tokens.check(await one.sign({ exp: NOW_S - 29, nbf: NOW_S + 29 }))).toMatchObject({ user: "s1" });
  });

  it("is refused when nobody has signed it, somebody else has, or with the public key as a secret", async () => {
    const one = await signer("k1");
    const tokens = tokensWith(keysFromFile(await fileOf(one), silentLogger));
    const claims = { sub: "s1", iss: RULES.issuer, aud: RULES.audience, exp: NOW_S + 60 };
    expect(await tokens.check(new UnsecuredJWT(claims).encode())).toEqual(expect.any(String));
    expect(await tokens.check(await (await signer("k1")).sign())).toEqual(expect.any(String));
    expect(await tokens.check(await (await signer("k2")).sign())).toMatch(/not known/);
    const secret = Buffer.from(JSON.stringify(one.jwk));
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "k1" }).sign(secret);
    expect(await tokens.check(forged)).toMatch(/not allowed/);
    const edwards = await signer("k3", "EdDSA");
    const both = tokensWith(keysFromFile(await fileOf(one, edwards), silentLogger));
    expect(await both.check(await edwards.sign())).toMatch(/not allowed/);
    const token = await one.sign();
    const [head, , tail] = token.split(".");
    const payload = Buffer.from(JSON.stringify({ ...claims, sub: "admin" })).toString("base64url");
    expect(await tokens.check(`${head}.${payload}.${tail}`)).toEqual(expect.any(String));
    for (const text of ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.x"]) expect(await tokens.check(text)).toEqual(expect.any(String));
  });
});

describe("keys in a file", () => {
  it("count as soon as they change, and those before when there is a mistake", async () => {
    const [one, two] = [await signer("k1"), await signer("k2")];
    const tokens = tokensWith(keysFromFile(await fileOf(one), silentLogger));
    await fileOf(two);
    expect(await tokens.check(await two.sign())).toMatchObject({ user: "s1" });
    expect(await tokens.check(await one.sign())).toMatch(/not known/);
    await writeFile(folder.join("keys.json"), "{");
    expect(await tokens.check(await two.sign())).toMatchObject({ user: "s1" });
  });

  it.each(["", "{}", '{"keys":[{}]}', '{"keys":7}'])("are refused at the start as %j", async (text) => {
    await writeFile(folder.join("keys.json"), text);
    expect(() => keysFromFile(folder.join("keys.json"), silentLogger)).toThrow(expect.objectContaining({ code: "ACCESS_INVALID" }));
    expect(() => keysFromFile(folder.join("none.json"), silentLogger)).toThrow(expect.objectContaining({ code: "FILE_UNREADABLE" }));
  });
});

describe("keys from an address", () => {
  let server: Server;
  let answer: { status: number; text: string };
  let asked: number;
  let url: string;
  beforeEach(async () => {
    asked = 0;
    server = createServer((_request, response) => {
      asked++;
      response.writeHead(answer.status, { location: "/elsewhere" }).end(answer.text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/jwks.json`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  function remote(): RemoteKeys {
    return new RemoteKeys({ url, kept: folder.join("token-keys.json"), refreshMs: 600_000 }, silentLogger, clock);
  }

  function serve(...signers: readonly Signer[]): void {
    answer = { status: 200, text: JSON.stringify({ keys: signers.map(({ jwk }) => jwk) }) };
  }

  it("are fetched once, and again for a key that is not known, but not all the time", async () => {
    const [one, two, three] = [await signer("k1"), await signer("k2"), await signer("k3")];
    serve(one);
    using keys = remote();
    const tokens = tokensWith(keys);
    for (let index = 0; index < 5; index++) expect(await tokens.check(await one.sign())).toMatchObject({ user: "s1" });
    expect(asked).toBe(1);
    serve(one, two);
    expect(await tokens.check(await two.sign())).toMatch(/not known/);
    clock.advance(30_000);
    const later = NOW_S + 120;
    expect(await tokens.check(await two.sign({ exp: later }))).toMatchObject({ user: "s1" });
    expect(asked).toBe(2);
    for (let index = 0; index < 5; index++) expect(await tokens.check(await three.sign({ exp: later }))).toMatch(/not known/);
    expect(asked).toBe(2);
  });

  it("go on to count while the address does not answer, also after a restart", async () => {
    const one = await signer("k1");
    serve(one);
    {
      using keys = remote();
      expect(await tokensWith(keys).check(await one.sign())).toMatchObject({ user: "s1" });
      await eventually(() => expect(existsSync(folder.join("token-keys.json"))).toBe(true)); // They count before they are kept.
    }
    for (const bad of [
      { status: 500, text: "" },
      { status: 302, text: "" },
      { status: 200, text: "{" },
      { status: 200, text: "x".repeat(300_000) },
    ]) {
      answer = bad;
      using keys = remote();
      const tokens = tokensWith(keys);
      const token = await one.sign({ exp: NOW_S + 10 * 86_400 });
      expect(await tokens.check(token)).toMatchObject({ user: "s1" });
      clock.advance(86_400_000);
      expect(await tokens.check(token)).toMatchObject({ user: "s1" });
    }
  });

  it("let nobody in when they could never be fetched", async () => {
    answer = { status: 404, text: "" };
    const one = await signer("k1");
    using keys = remote();
    expect(await tokensWith(keys).check(await one.sign())).toMatch(/not known/);
  });
});
