import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { isPassword, PASSWORD_BYTES_MAX } from "./password-hash.ts";
import { Turns } from "./turns.ts";
import type { User, UserTable } from "./users-file.ts";

/** Each takes a thread of those that also write to disk. */
const HASHES_AT_ONCE = 2;
const WAITING_MAX = 1_000;
/** Most clients have given up by then. */
const WAIT_MS_MAX = 20_000;
const PROVED_MAX = 10_000;
/** Stands for a user that there is not, when there is none whose hash could. */
const NOBODY = "$scrypt$ln=14,r=8,p=1$bm9ib2R5IGlzIGhlcmU$bm9ib2R5IGlzIGhlcmUgYXQgYWxsLCBub3QgZXZlbiA";

/** Says whether somebody is who they say they are. */
export class Users {
  readonly #table: () => UserTable | undefined;
  readonly #turns: Turns;
  /** What was right before, under a key of this process, so that clients which come back are not hashed again. */
  readonly #proved = new Set<string>();
  readonly #key = randomBytes(32);

  constructor(table: () => UserTable | undefined, clock: Pick<Clock, "elapsed">) {
    this.#table = table;
    this.#turns = new Turns({ atOnce: HASHES_AT_ONCE, waitingMax: WAITING_MAX, waitMs: WAIT_MS_MAX }, clock);
  }

  /** Whether there is a file of users. */
  get areKept(): boolean {
    return this.#table() !== undefined;
  }

  get(name: string): User | undefined {
    return this.#table()?.get(name);
  }

  /** `busy` when too many wait for the same, or when `isFree` says so when its turn has come. A name that is not known takes as long as one that is. */
  async check(name: string, password: Buffer, isFree: () => boolean = () => true): Promise<User | "wrong" | "busy"> {
    const user = this.get(name);
    if (password.length > PASSWORD_BYTES_MAX) return "wrong";
    const hash = user?.password;
    const proof = hash === undefined ? undefined : this.#proofOf(name, hash, password);
    if (user !== undefined && proof !== undefined && this.#proved.has(proof)) return user;
    const right = await this.#turns.run(
      async () => isFree() && { is: await isPassword(hash ?? this.#anyHash(), password.toString("utf8")) },
    );
    if (right === undefined || right === false) return "busy";
    if (!right.is || user === undefined || proof === undefined) return "wrong";
    if (this.#proved.size >= PROVED_MAX) this.#proved.clear();
    this.#proved.add(proof);
    return user;
  }

  #proofOf(name: string, hash: string, password: Buffer): string {
    return createHmac("sha256", this.#key)
      .update(`${Buffer.byteLength(name)} ${name} ${hash} `)
      .update(password)
      .digest("base64");
  }

  #anyHash(): string {
    for (const { password } of this.#table()?.values() ?? []) if (password !== undefined) return password;
    return NOBODY;
  }
}
