import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import type { FunctionLog } from "./function-log.ts";
import { Inspection, type InspectionEnd, type Sources } from "./inspection.ts";

/** How much longer than its limits what a debugger has let go may take before it is handed out again. */
const LET_GO_MS = 1_000;

export interface InspectionWish {
  readonly forMs: number;
  readonly sources: Sources;
  /** Called once. */
  readonly ended: (end: InspectionEnd) => void;
}

interface InspectingParts {
  readonly bundle: Bundle;
  readonly log: FunctionLog;
  /** Ends what is left of the host of an inspection, without a charge for anybody. */
  readonly hosts: { retire(inspection: object, reason: string): void };
  /** Where its isolates belong has changed. */
  changed(): void;
}

/** Whether a function is being inspected, and the way there and back. */
export class Inspecting {
  readonly #parts: InspectingParts;
  #current: Inspection | undefined;

  constructor(parts: InspectingParts) {
    this.#parts = parts;
  }

  get current(): Inspection | undefined {
    return this.#current;
  }

  /** @throws MillraceError TOO_MANY_INSPECTIONS */
  begin({ forMs, sources, ended }: InspectionWish): Inspection {
    const { bundle, log } = this.#parts;
    if (this.#current !== undefined) {
      throw new MillraceError("TOO_MANY_INSPECTIONS", `"${bundle.manifest.name}" is being inspected already`);
    }
    const inspection = new Inspection({
      bundle,
      forMs,
      sources,
      ended: (end) => {
        this.#left(inspection, end.message);
        ended(end);
      },
    });
    this.#current = inspection;
    log.add({ level: "info", message: "it is being inspected: a debugger may hold it" });
    this.#parts.changed();
    return inspection;
  }

  /** The version does not run any more. */
  stop(): void {
    const message = `"${this.#parts.bundle.manifest.name}" was replaced or removed, or the gateway stops`;
    this.#current?.end({ why: "taken", message });
  }

  #left(inspection: Inspection, why: string): void {
    const { bundle, log } = this.#parts;
    this.#current = undefined;
    log.add({ level: "info", message: `it is not inspected any more: ${why}` });
    this.#parts.changed();
    const { wallMs, cpuMs } = bundle.manifest.limits;
    setTimeout(() => this.#parts.hosts.retire(inspection, why), wallMs + 2 * cpuMs + LET_GO_MS).unref();
  }
}
