import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import { withLock } from "../../core/file-lock.ts";
import { replaceFile } from "../../core/replace-file.ts";
import { formatSize } from "../../core/units.ts";
import { newKey, readKeys, type SecretKey, writeKeys } from "./key-file.ts";

/**
 * All secrets of a gateway as one file: the magic, the id of the key, the nonce, the tag, and JSON that AES-256-GCM has encrypted. What stands before
 * it is authenticated too, so nothing of the file can be changed without being noticed.
 */
const MAGIC = Buffer.from("MRSECRT1");
const ID_AT = MAGIC.length;
const NONCE_AT = ID_AT + 8;
const TAG_AT = NONCE_AT + 12;
const DATA_AT = TAG_AT + 16;
const FILE_BYTES_MAX = 4 * 2 ** 20;
const SECRETS_MAX = 1_000;
const VALUE_BYTES_MAX = 64 * 1024;
/** A shorter one cannot be told from the rest of a log. */
const VALUE_CHARS_MIN = 8;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

const schema = z.record(z.string(), z.object({ value: z.string(), setAt: z.number() }));

export interface Secret {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly setAt: number;
}

export interface SecretsPlace {
  readonly file: string;
  readonly keyFile: string;
}

/** Of the gateway with this data folder; an empty `keyFile` stands for a file in there. */
export function secretsPlace(data: string, keyFile: string): SecretsPlace {
  return { file: join(data, "secrets"), keyFile: keyFile === "" ? join(data, "secrets.key") : keyFile };
}

/** @throws MillraceError SECRETS_UNREADABLE without the right key, SECRETS_CORRUPT when it was changed or damaged */
export function readSecrets({ file, keyFile }: SecretsPlace): Map<string, Secret> {
  const bytes = bytesOf(file);
  if (bytes === undefined) return new Map();
  if (bytes.length < DATA_AT || !bytes.subarray(0, ID_AT).equals(MAGIC)) throw corrupt(file, "it is not a file of secrets");
  const id = bytes.subarray(ID_AT, NONCE_AT);
  const keys = readKeys(keyFile);
  if (keys === undefined) throw unreadable(file, `its key file ${keyFile} is not there`);
  const key = keys.find((each) => each.id.equals(id));
  if (key === undefined) throw unreadable(file, `the key in ${keyFile} is another one than it was encrypted with`);
  return new Map(Object.entries(parse(file, decrypt(file, bytes, key))));
}

/**
 * Changes the secrets; whoever else does so meanwhile waits. The first change makes the key.
 * @throws MillraceError as `readSecrets`, FILE_UNWRITABLE, DATA_LOCKED, and what `change` throws
 */
export async function updateSecrets(place: SecretsPlace, change: (secrets: Map<string, Secret>) => void): Promise<void> {
  await withLock(place.file, async () => {
    const secrets = readSecrets(place);
    change(secrets);
    await write(place, secrets, await keyFor(place));
  });
}

/** Encrypts the secrets with a new key, and drops the one before. A crash in between leaves both keys, and the file readable. */
export async function rekeySecrets(place: SecretsPlace): Promise<void> {
  await withLock(place.file, async () => {
    const secrets = readSecrets(place);
    const key = newKey();
    await writeKeys(place.keyFile, [key, ...(readKeys(place.keyFile) ?? []).slice(0, 2)]);
    await write(place, secrets, key);
    await writeKeys(place.keyFile, [key]);
  });
}

/** Why `name` cannot be the name of a secret, or undefined when it can. */
export function secretNameProblem(name: string): string | undefined {
  return NAME.test(name)
    ? undefined
    : "names of secrets have letters, digits and underscores, do not start with a digit, and have at most 100";
}

/** The same of its value. */
export function secretValueProblem(value: string): string | undefined {
  if (Buffer.byteLength(value) > VALUE_BYTES_MAX) return `a secret has at most ${formatSize(VALUE_BYTES_MAX)}`;
  if (value.length >= VALUE_CHARS_MIN) return undefined;
  return `a secret has at least ${VALUE_CHARS_MIN} characters; a shorter one could not be kept out of the logs`;
}

async function keyFor({ file, keyFile }: SecretsPlace): Promise<SecretKey> {
  const [first] = readKeys(keyFile) ?? [];
  if (first !== undefined) return first;
  if (bytesOf(file) !== undefined) throw unreadable(file, `its key file ${keyFile} is not there`);
  const key = newKey();
  await writeKeys(keyFile, [key]);
  return key;
}

async function write({ file }: SecretsPlace, secrets: ReadonlyMap<string, Secret>, { id, key }: SecretKey): Promise<void> {
  if (secrets.size > SECRETS_MAX) throw new MillraceError("USAGE", `a gateway keeps at most ${SECRETS_MAX} secrets`);
  const nonce = randomBytes(TAG_AT - NONCE_AT);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.concat([MAGIC, id]));
  const data = Buffer.concat([cipher.update(JSON.stringify(Object.fromEntries(secrets)), "utf8"), cipher.final()]);
  const bytes = Buffer.concat([MAGIC, id, nonce, cipher.getAuthTag(), data]);
  if (bytes.length > FILE_BYTES_MAX) throw new MillraceError("USAGE", `all secrets together have at most ${formatSize(FILE_BYTES_MAX)}`);
  await replaceFile(file, bytes);
}

function decrypt(file: string, bytes: Buffer, { key, id }: SecretKey): string {
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(NONCE_AT, TAG_AT), { authTagLength: DATA_AT - TAG_AT });
    decipher.setAAD(Buffer.concat([MAGIC, id])).setAuthTag(bytes.subarray(TAG_AT, DATA_AT));
    return decipher.update(bytes.subarray(DATA_AT), undefined, "utf8") + decipher.final("utf8");
  } catch (cause) {
    throw corrupt(file, "it was changed or damaged after it was written", cause);
  }
}

function parse(file: string, text: string): Record<string, Secret> {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // The cause could have a secret in its words.
    throw corrupt(file, "what was encrypted are no secrets");
  }
}

function bytesOf(file: string): Buffer | undefined {
  try {
    const bytes = readFileSync(file);
    if (bytes.length > FILE_BYTES_MAX) throw corrupt(file, "it is too large");
    return bytes;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error instanceof MillraceError ? error : unreadable(file, messageOf(error), error);
  }
}

function unreadable(file: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("SECRETS_UNREADABLE", `the secrets in ${file} cannot be read: ${why}`, { cause });
}

function corrupt(file: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("SECRETS_CORRUPT", `the secrets in ${file} cannot be used: ${why}`, { cause });
}
