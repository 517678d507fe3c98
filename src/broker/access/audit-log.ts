import { appendFile, chown, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";

/**
 * What is noted: `changed` is a file that the gateway has read anew, `command` what `millrace users` has done to it, with the user of the system, or what
 * `millrace clients` has done to a client, with its own user.
 */
export interface AuditEntry {
  readonly event: "connected" | "disconnected" | "refused" | "will-refused" | "changed" | "command";
  readonly client?: string;
  readonly user?: string | undefined;
  readonly address?: string | undefined;
  readonly listener?: string;
  readonly topic?: string;
  readonly proof?: string;
  readonly reason?: string;
  readonly file?: string;
}

const WAITING_MAX = 1_000;
const TEXT_MAX = 200;

/** Of the gateway with this data folder. The file before is beside it, with `.1` behind its name. */
export function auditFile(data: string): string {
  return join(data, "audit.log");
}

/** One entry as a line of JSON, added to the file; for its owner only, who stays the user that the gateway runs as. */
export async function appendAudit(file: string, entry: AuditEntry, now: number): Promise<void> {
  await appendFile(file, lineOf(entry, now), { mode: 0o600 });
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(file));
  await chown(file, uid, gid);
}

/**
 * Who came in, went, was refused and what was changed, as lines of JSON in two files that together have at most `bytesMax`. Nobody waits for it: when
 * the disk is so slow that 1,000 entries wait, further ones are left out, and a line says how many.
 */
export class AuditLog implements AsyncDisposable {
  readonly #file: string;
  readonly #bytesMax: number;
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, "now">;
  #waiting: string[] = [];
  #leftOut = 0;
  #writing: Promise<void> | undefined;
  #bytes: number | undefined;
  #failed = false;
  #isClosed = false;

  constructor({ file, bytesMax }: { readonly file: string; readonly bytesMax: number }, logger: Logger, clock: Pick<Clock, "now">) {
    this.#file = file;
    this.#bytesMax = bytesMax;
    this.#logger = logger;
    this.#clock = clock;
  }

  note(entry: AuditEntry): void {
    if (this.#bytesMax === 0 || this.#isClosed) return;
    if (this.#waiting.length >= WAITING_MAX) this.#leftOut++;
    else this.#waiting.push(lineOf(entry, this.#clock.now()));
    this.#writing ??= this.#write();
  }

  /** Resolves when everything that was noted is written; what is noted later is not. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    this.#isClosed = true;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const leftOut = this.#leftOut === 0 ? "" : `${JSON.stringify({ time: new Date(this.#clock.now()), leftOut: this.#leftOut })}\n`;
      const text = this.#waiting.join("") + leftOut;
      this.#waiting = [];
      this.#leftOut = 0;
      try {
        await this.#append(text);
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) this.#logger.error({ file: this.#file, error: messageOf(error) }, "the audit log could not be written");
        this.#failed = true;
      }
    }
    this.#writing = undefined;
  }

  async #append(text: string): Promise<void> {
    this.#bytes ??= await stat(this.#file).then(
      ({ size }) => size,
      () => 0,
    );
    const bytes = Buffer.byteLength(text);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax / 2) {
      await rename(this.#file, `${this.#file}.1`);
      this.#bytes = 0;
    }
    await appendFile(this.#file, text, { mode: 0o600 });
    this.#bytes += bytes;
  }
}

function lineOf(entry: AuditEntry, now: number): string {
  const texts = Object.entries(entry).filter((item): item is [string, string] => item[1] !== undefined);
  const short = texts.map(([name, text]) => [name, text.slice(0, TEXT_MAX)] as const);
  return `${JSON.stringify({ time: new Date(now), ...Object.fromEntries(short) })}\n`;
}
