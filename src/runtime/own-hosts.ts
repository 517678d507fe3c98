import { MillraceError } from "../core/errors.ts";
import type { GuardedHost } from "./guarded-host.ts";

interface OwnHostsParts {
  take(): GuardedHost;
  /** Ends a host that holds nothing any more; `forget` is called meanwhile. */
  release(host: GuardedHost): void;
}

interface Owner {
  readonly owner: unknown;
  /** It keeps its host; the others give theirs back after a while. */
  readonly lasting: boolean;
}

/** Hosts that hold the instances of one owner each. There are only so many: who needs one for a while waits for its turn. */
export class OwnHosts {
  readonly #max: number;
  readonly #parts: OwnHostsParts;
  readonly #hosts = new Map<unknown, { readonly host: GuardedHost; readonly lasting: boolean }>();
  /** Whoever waits, in the order in which they came. */
  readonly #waiting: (() => void)[] = [];
  /** Those that hold nothing any more and may be had by somebody else. */
  readonly #idle = new Set<GuardedHost>();
  #closed = false;

  constructor(max: number, parts: OwnHostsParts) {
    this.#max = max;
    this.#parts = parts;
  }

  /** Whether the owner has one for good or could have one. */
  hasRoom(owner: unknown): boolean {
    if (this.#hosts.get(owner)?.lasting === true) return true;
    // One that holds nothing any more, such as that of a function that was removed, is given up for others.
    return [...this.#hosts.values()].filter(({ host, lasting }) => lasting && !this.#idle.has(host)).length < this.#max - 1;
  }

  /** @throws MillraceError HOSTS_TAKEN, HOST_CRASHED when they are being stopped */
  async of({ owner, lasting }: Owner): Promise<GuardedHost> {
    for (;;) {
      const found = this.#hosts.get(owner);
      if (found !== undefined) {
        this.#idle.delete(found.host);
        return found.host;
      }
      if (lasting && !this.hasRoom(owner)) {
        throw new MillraceError("HOSTS_TAKEN", `functions with a host process of their own have all of them but one, ${this.#max - 1}`);
      }
      if (this.#hosts.size >= this.#max) this.#evict();
      if (this.#hosts.size < this.#max) {
        const host = this.#parts.take();
        this.#hosts.set(owner, { host, lasting });
        return host;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      if (this.#closed) throw new MillraceError("HOST_CRASHED", "the hosts are being stopped");
    }
  }

  #evict(): void {
    const [host] = this.#idle;
    if (host !== undefined) this.#parts.release(host);
  }

  /** The host holds nothing any more, so somebody else may have its place. */
  emptied(host: GuardedHost): void {
    if (![...this.#hosts.values()].some((own) => own.host === host)) return;
    this.#idle.add(host);
    this.#waiting.shift()?.();
  }

  /** The host is gone. */
  forget(host: GuardedHost): void {
    this.#idle.delete(host);
    for (const [owner, own] of this.#hosts) {
      if (own.host !== host) continue;
      this.#hosts.delete(owner);
      this.#waiting.shift()?.();
    }
  }

  close(): void {
    this.#closed = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}
