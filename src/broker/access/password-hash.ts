import { argon2, randomBytes, scrypt, type ScryptOptions, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

/**
 * A password as it is stored, in the PHC string format: `$scrypt$ln=14,r=8,p=1$salt$hash`, or `$argon2id$v=19$m=19456,t=2,p=1$salt$hash` of a file
 * that comes from elsewhere. Salt and hash are base64 without padding.
 */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/-]{11,86})\$([\w+/-]{22,86})$/;
const ARGON2 = /^\$(argon2id|argon2i)\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$([\w+/-]{11,86})\$([\w+/-]{22,86})$/;

/** 16 MB and some 50 ms of a core: clients with a password each all come at once when a gateway starts. */
const OWN = { ln: 14, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What one hash may take at most, whoever has made it. */
const MEMORY_BYTES_MAX = 64 * 2 ** 20;
/** Passes over that memory. */
const PASSES_MAX = 16;

/** Beyond that nothing is hashed. */
export const PASSWORD_BYTES_MAX = 1_024;

interface Stored {
  readonly hash: Buffer;
  readonly bytes: number;
  compute(password: string): Promise<Buffer>;
}

const scrypted = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);
const argued = promisify(argon2);

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const { ln, r, p } = OWN;
  const hash = await scrypted(password, salt, HASH_BYTES, { N: 2 ** ln, r, p, maxmem: MEMORY_BYTES_MAX * 2 });
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Takes as long for a wrong password as for the right one, and does not hold up the loop. */
export async function isPassword(stored: string, password: string): Promise<boolean> {
  const parsed = parse(stored);
  if (parsed === undefined) return false;
  const hash = await parsed.compute(password);
  return hash.length === parsed.hash.length && timingSafeEqual(hash, parsed.hash);
}

/** What is wrong with a stored password, or undefined when it can be used. */
export function hashProblem(stored: string): string | undefined {
  const parsed = parse(stored);
  if (parsed === undefined) return "it is no scrypt or argon2 hash in the PHC string format";
  return parsed.bytes > MEMORY_BYTES_MAX ? `its hash takes more than ${MEMORY_BYTES_MAX / 2 ** 20} MB or ${PASSES_MAX} passes` : undefined;
}

function parse(stored: string): Stored | undefined {
  return scryptOf(stored) ?? argon2Of(stored);
}

function scryptOf(stored: string): Stored | undefined {
  const [, ln, r, p, salt = "", hash = ""] = SCRYPT.exec(stored) ?? [];
  if (ln === undefined) return undefined;
  const cost = { N: 2 ** Number(ln), r: Number(r), p: Number(p) };
  if (cost.N < 2 || cost.r < 1 || cost.p < 1) return undefined;
  const memory = 128 * cost.N * cost.r;
  const expected = Buffer.from(hash, "base64");
  return {
    hash: expected,
    bytes: cost.p > PASSES_MAX ? Infinity : memory,
    compute: (password) => scrypted(password, Buffer.from(salt, "base64"), expected.length, { ...cost, maxmem: MEMORY_BYTES_MAX * 2 }),
  };
}

function argon2Of(stored: string): Stored | undefined {
  const [, kind, m, t, p, salt = "", hash = ""] = ARGON2.exec(stored) ?? [];
  if (kind !== "argon2id" && kind !== "argon2i") return undefined;
  const [memory, passes, parallelism] = [Number(m), Number(t), Number(p)];
  if (passes < 1 || parallelism < 1 || memory < 8 * parallelism) return undefined;
  const expected = Buffer.from(hash, "base64");
  return {
    hash: expected,
    bytes: passes > PASSES_MAX ? Infinity : memory * 1_024,
    compute: (password) =>
      argued(kind, { message: password, nonce: Buffer.from(salt, "base64"), parallelism, tagLength: expected.length, memory, passes }),
  };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
