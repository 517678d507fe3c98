import { MillraceError } from "../core/errors.ts";
import type { DeployedFunction } from "./function.ts";
import type { InspectionWish } from "./inspecting.ts";
import type { InspectionEnd } from "./inspection.ts";
import type { Attachment, InspectorClient } from "./inspector-port.ts";

/** Each has a host process of its own. */
const INSPECTIONS_MAX = 2;

/** A function whose isolates are ready for a debugger. */
export interface Inspected {
  readonly function: string;
  readonly version: number;
  /** Of its bundle. */
  readonly digest: string;
  /** How many isolates it has; one that was lost is there again in a moment. */
  readonly isolates: number;
  /** Undefined when that isolate is just being made. */
  attach(isolate: number, client: InspectorClient): Attachment | undefined;
  end(end: InspectionEnd): void;
}

/** `ended` is called also when it is over before it was ready. */
export interface InspectionRequest extends InspectionWish {
  /** Whoever asked for it has gone. */
  readonly signal: AbortSignal;
}

/** The functions of a gateway that are being inspected. */
export class Inspections {
  readonly #find: (name: string) => DeployedFunction | undefined;
  #count = 0;

  /** `find`: what runs under a name. */
  constructor(find: (name: string) => DeployedFunction | undefined) {
    this.#find = find;
  }

  /**
   * Ready when there is an isolate to attach to.
   * @throws MillraceError FUNCTION_UNKNOWN, TOO_MANY_INSPECTIONS, INSPECTION_ENDED, FUNCTION_LOAD_FAILED, FUNCTION_QUARANTINED
   */
  async begin(name: string, { ended, signal, ...wish }: InspectionRequest): Promise<Inspected> {
    const deployed = this.#find(name);
    if (deployed === undefined) throw new MillraceError("FUNCTION_UNKNOWN", `no function "${name}" is deployed on this gateway`);
    if (this.#count >= INSPECTIONS_MAX) {
      const message = `${this.#count} functions are being inspected on this gateway, at most ${INSPECTIONS_MAX} may be`;
      throw new MillraceError("TOO_MANY_INSPECTIONS", message);
    }
    const counted = (end: InspectionEnd): void => {
      this.#count--;
      ended(end);
    };
    const { quarantine } = deployed;
    if (quarantine !== undefined) throw new MillraceError("FUNCTION_QUARANTINED", `${quarantine.code}: ${quarantine.message}`);
    const inspection = deployed.inspecting.begin({ ...wish, ended: counted });
    this.#count++;
    const gone = (): void => inspection.end({ why: "closed", message: "whoever asked for the inspection has gone, or the gateway stops" });
    if (signal.aborted) gone();
    signal.addEventListener("abort", gone, { once: true });
    await inspection.ready;
    return {
      function: deployed.name,
      version: deployed.version,
      digest: deployed.digest,
      isolates: deployed.manifest.concurrency,
      attach: (isolate, client) => inspection.attach(isolate, client),
      end: (end) => inspection.end(end),
    };
  }
}
