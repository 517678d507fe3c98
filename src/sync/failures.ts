import { type ErrorCode, MillraceError, messageOf } from "../core/errors.ts";
import type { Reported } from "../core/link-messages.ts";

export interface Target {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
}

interface Failure {
  readonly target: Target;
  readonly attempts: number;
  /** As the clock's `elapsed`. */
  readonly notBefore: number;
  readonly code: ErrorCode | undefined;
  readonly error: string;
}

type ReportedFunction = Reported["functions"][number];

/** The functions whose wanted version is not running, why, and when each is tried again. */
export class Failures {
  readonly #byName = new Map<string, Failure>();
  readonly #retryAt: (attempt: number) => number;

  constructor(retryAt: (attempt: number) => number) {
    this.#retryAt = retryAt;
  }

  record({ name, version, digest }: Target, error: unknown): void {
    const before = this.#byName.get(name);
    const attempts = before?.target.digest === digest ? before.attempts + 1 : 1;
    const code = error instanceof MillraceError ? error.code : undefined;
    const text = code === undefined ? messageOf(error) : `${code}: ${messageOf(error)}`;
    this.#byName.set(name, { target: { name, version, digest }, attempts, notBefore: this.#retryAt(attempts), code, error: text });
  }

  clear(name: string): void {
    this.#byName.delete(name);
  }

  /** Forgets what is no longer wanted. */
  keepOnly(targets: readonly Target[]): void {
    for (const { target } of this.#byName.values()) {
      if (!targets.some((wanted) => wanted.name === target.name && wanted.digest === target.digest)) this.#byName.delete(target.name);
    }
  }

  /** Lets everything that failed with this code be tried at once. */
  forgive(code: ErrorCode): void {
    for (const [name, failure] of this.#byName) if (failure.code === code) this.#byName.set(name, { ...failure, notBefore: 0 });
  }

  /** Takes away every time: the targets may be tried whenever they are asked for, and are not due by themselves. */
  suspend(): void {
    for (const [name, failure] of this.#byName) this.#byName.set(name, { ...failure, notBefore: -Infinity });
  }

  isWaiting({ name, digest }: Target, now: number): boolean {
    const failure = this.#byName.get(name);
    return failure?.target.digest === digest && now < failure.notBefore;
  }

  /** When the next one is due; undefined when none is. */
  nextAt(): number | undefined {
    const times = [...this.#byName.values()].map(({ notBefore }) => notBefore).filter((time) => time !== -Infinity);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  list(): { readonly name: string; readonly error: string }[] {
    return [...this.#byName.values()].map(({ target, error }) => ({ name: target.name, error }));
  }

  /** `reported` with the failures in place of what it says of the same versions. */
  merge(reported: readonly ReportedFunction[]): ReportedFunction[] {
    const failed = [...this.#byName.values()].map(({ target, error }): ReportedFunction => ({ ...target, state: "failed", error }));
    const others = reported.filter((report) => !failed.some(({ name, digest }) => name === report.name && digest === report.digest));
    return [...others, ...failed];
  }
}
