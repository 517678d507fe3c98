import { createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import { replaceFile } from "../../core/replace-file.ts";

/** One line for each key, the one that is used first: this word and 32 bytes as base64url. */
const LINE = /^millrace-key-1 ([\w-]{43})$/;
const KEY_BYTES = 32;
const ID_BYTES = 8;
/** More are not left over even when a change of keys was broken off. */
const FILE_BYTES_MAX = 4_096;

/** A key, and the short name by which what it has encrypted says so. */
export interface SecretKey {
  readonly id: Buffer;
  readonly key: Buffer;
}

/** @throws MillraceError SECRETS_UNREADABLE when it is there and cannot be used, or others may read it; undefined when there is none */
export function readKeys(path: string): SecretKey[] | undefined {
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) throw unreadable(path, `others than its owner may get at it; \`chmod 600 ${path}\``);
    if (size > FILE_BYTES_MAX) throw unreadable(path, "it is too large for one");
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error instanceof MillraceError ? error : unreadable(path, messageOf(error), error);
  }
  const lines = text.split("\n").filter((line) => line !== "");
  const keys = lines.map((line) => LINE.exec(line)?.[1]);
  if (keys.length === 0 || keys.includes(undefined)) throw unreadable(path, "it does not hold a key of Millrace");
  return keys.map((key = "") => keyOf(Buffer.from(key, "base64url")));
}

function unreadable(path: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("SECRETS_UNREADABLE", `the key file ${path} cannot be used: ${why}`, { cause });
}

export function newKey(): SecretKey {
  return keyOf(randomBytes(KEY_BYTES));
}

function keyOf(key: Buffer): SecretKey {
  return { key, id: createHash("sha256").update(key).digest().subarray(0, ID_BYTES) };
}

/** Writes the keys so that a crash leaves the file before or this one. @throws MillraceError FILE_UNWRITABLE */
export async function writeKeys(path: string, keys: readonly SecretKey[]): Promise<void> {
  const lines = keys.map(({ key }) => `millrace-key-1 ${key.toString("base64url")}\n`);
  await replaceFile(path, Buffer.from(lines.join("")));
}
