import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import { withLock } from "../../core/file-lock.ts";
import { replaceFile } from "../../core/replace-file.ts";
import { hashProblem } from "./password-hash.ts";

const FILE_BYTES_MAX = 16 * 2 ** 20;
const USERS_MAX = 50_000;
const GROUPS_MAX = 100;
const NAME_CHARS_MAX = 256;

const userSchema = z.strictObject({
  /** In the PHC string format; absent for one that comes with a certificate. */
  password: z.string().optional(),
  groups: z.array(z.string().min(1).max(NAME_CHARS_MAX)).max(GROUPS_MAX).default([]),
});
const fileSchema = z.strictObject({ version: z.literal(1), users: z.record(z.string(), userSchema) });

export interface User {
  readonly password?: string | undefined;
  readonly groups: readonly string[];
}

export type UserTable = Map<string, User>;

/** Everybody that the file knows; undefined when there is no such file. @throws MillraceError USERS_INVALID, FILE_UNREADABLE */
export function readUsers(file: string): UserTable | undefined {
  const text = textOf(file);
  return text === undefined ? undefined : parse(file, text);
}

/**
 * Changes the file; whoever else does so meanwhile waits. It is there as a whole, before and after a crash, for its owner only.
 * @throws MillraceError as `readUsers`, FILE_UNWRITABLE, DATA_LOCKED, and what `change` throws
 */
export async function updateUsers(file: string, change: (users: UserTable) => void | Promise<void>): Promise<void> {
  await withLock(file, async () => {
    const users = readUsers(file) ?? new Map<string, User>();
    await change(users);
    if (users.size > USERS_MAX) throw new MillraceError("USAGE", `a gateway knows at most ${USERS_MAX} users`);
    const sorted = [...users].toSorted(([a], [b]) => (a < b ? -1 : 1));
    await replaceFile(file, Buffer.from(`${JSON.stringify({ version: 1, users: Object.fromEntries(sorted) }, undefined, 1)}\n`));
  });
}

/** Why a user or group cannot have this name, or undefined when it can. */
export function nameProblem(name: string): string | undefined {
  if (name === "" || name.length > NAME_CHARS_MAX) return `a name has 1 to ${NAME_CHARS_MAX} characters`;
  if (/[/+#\p{Cc}]/u.test(name)) return 'a name has no "/", "+" or "#", which mean something in topics, and no control characters';
  return name === "__proto__" ? "this name means something to JavaScript" : undefined;
}

function parse(file: string, text: string): UserTable {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid(file, "it is no JSON"); // The cause could quote a hash.
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(file, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it is not as expected"}`);
  }
  const users = new Map(Object.entries(parsed.data.users));
  for (const [name, { password, groups }] of users) {
    const problem = nameProblem(name) ?? groups.map(nameProblem).find((found) => found !== undefined);
    if (problem !== undefined) throw invalid(file, `user "${name}": ${problem}`);
    const hash = password === undefined ? undefined : hashProblem(password);
    if (hash !== undefined) throw invalid(file, `the password of user "${name}": ${hash}`);
  }
  return users;
}

function textOf(file: string): string | undefined {
  try {
    const { mode, size } = statSync(file);
    if ((mode & 0o027) !== 0) throw invalid(file, `others than its owner may get at it; \`chmod 600 ${file}\``);
    if (size > FILE_BYTES_MAX) throw invalid(file, "it is too large");
    return readFileSync(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    if (error instanceof MillraceError) throw error;
    throw new MillraceError("FILE_UNREADABLE", `cannot read the users in ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function invalid(file: string, why: string): MillraceError {
  return new MillraceError("USERS_INVALID", `the users in ${file} cannot be used: ${why}`);
}
