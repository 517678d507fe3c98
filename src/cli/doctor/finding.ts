/** What one check found. `skipped` could not be looked at here and says why. */
export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warn" | "FAIL" | "skipped";
  readonly message: string;
  /** What to do about a warning or a failure. */
  readonly remedy?: string;
}

type Make = (check: string, message: string, remedy: string) => Finding;

export const ok = (check: string, message: string): Finding => ({ check, status: "ok", message });
export const skipped = (check: string, message: string): Finding => ({ check, status: "skipped", message });
export const warn: Make = (check, message, remedy) => ({ check, status: "warn", message, remedy });
export const fail: Make = (check, message, remedy) => ({ check, status: "FAIL", message, remedy });
