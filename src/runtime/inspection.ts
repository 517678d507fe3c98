import { z } from "zod";
import type { Bundle } from "../core/bundle.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import type { InstanceHandle } from "./guarded-host.ts";
import { INSPECT_LIMITS, type LoadSpec } from "./host/frames.ts";
import type { Place } from "./hosts.ts";
import type { Attachment, InspectorClient, InspectorPort } from "./inspector-port.ts";

/** What a debugger makes in an isolate counts against its memory, and is not the function's. */
const DEBUGGER_BYTES = 64 * 2 ** 20;

export type Sources = Readonly<Record<string, string>>;

/** Why an inspection is over. */
export interface InspectionEnd {
  /** `time`: as long as was asked for. `closed`: whoever asked for it has gone. `taken`: the function does not go on as it was. */
  readonly why: "time" | "closed" | "taken";
  readonly message: string;
}

interface InspectionParts {
  readonly bundle: Bundle;
  readonly forMs: number;
  /** What is in the author's files, by their names in the source map. */
  readonly sources: Sources;
  /** Called once. */
  ended(end: InspectionEnd): void;
}

/**
 * A function that can be looked into: for a while its isolates are in a host of their own, whose isolates have an inspector and where nothing is
 * stopped for the time that it takes.
 */
export class Inspection {
  readonly place: Place;
  /** Resolves when each isolate has been there to attach to; rejects when there is none and the inspection is over. */
  readonly ready: Promise<void>;
  readonly #parts: InspectionParts;
  readonly #ready = Promise.withResolvers<void>();
  /** One for each lane, in the order in which their isolates came; a place that has become free is taken again. */
  readonly #ports: (InspectorPort | undefined)[] = [];
  readonly #timer: NodeJS.Timeout;
  #ended = false;

  constructor(parts: InspectionParts) {
    this.#parts = parts;
    this.place = { kind: "inspected", inspection: this };
    this.ready = this.#ready.promise;
    this.ready.catch(() => undefined); // Whoever waits for it is told.
    const message = `the time is over for which it was to be inspected, ${Math.round(parts.forMs / 1_000)} s`;
    this.#timer = setTimeout(() => this.end({ why: "time", message }), parts.forMs).unref();
  }

  /** What its isolates are made of: the same code, and for a debugger the author's files. */
  specOf(spec: LoadSpec): LoadSpec {
    const { bundle, sources } = this.#parts;
    const { sourceMap, manifest } = bundle;
    const encoded = Buffer.from(withSources(sourceMap, sources)).toString("base64");
    const map = sourceMap === "" ? "" : `//# sourceMappingURL=data:application/json;base64,${encoded}\n`;
    const code = `${spec.code}\n//# sourceURL=${scriptUrl(manifest.name)}\n${map}`;
    return { ...spec, code, wallMs: INSPECT_LIMITS.batchMs, memoryBytes: spec.memoryBytes + DEBUGGER_BYTES };
  }

  /** An isolate of it has been made. */
  loaded({ inspector }: InstanceHandle): void {
    if (inspector === undefined || this.#ended) return;
    const free = this.#ports.findIndex((port) => port === undefined || port.isClosed);
    this.#ports[free === -1 ? this.#ports.length : free] = inspector;
    const { concurrency } = this.#parts.bundle.manifest;
    if (this.#ports.length === concurrency) this.#ready.resolve();
  }

  /** One could not be made. */
  failed(error: unknown): void {
    this.#ready.reject(error);
    if (!this.#ports.some((port) => port?.isClosed === false)) this.end({ why: "taken", message: messageOf(error) });
  }

  /** Undefined when there is no such isolate at the moment. */
  attach(index: number, client: InspectorClient): Attachment | undefined {
    return this.#ended ? undefined : this.#ports[index]?.attach(client);
  }

  /** Debuggers have to leave, and what they held goes on. */
  end(end: InspectionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#ready.reject(new MillraceError("INSPECTION_ENDED", end.message));
    for (const port of this.#ports) port?.detach(end.message);
    this.#parts.ended(end);
  }
}

const mapSchema = z.looseObject({ sources: z.array(z.string()) });

/** A map that cannot be read stays as it is: where it leads to is for the debugger to find out. */
function withSources(sourceMap: string, sources: Sources): string {
  const names = Object.keys(sources);
  const map = names.length === 0 ? undefined : mapSchema.safeParse(JSON.parse(sourceMap)).data;
  if (map === undefined) return sourceMap;
  return JSON.stringify({ ...map, sourcesContent: map.sources.map((name) => (Object.hasOwn(sources, name) ? sources[name] : null)) });
}

/** How the script of a function is named in a debugger. */
export function scriptUrl(name: string): string {
  return `millrace://${name}/${name}.js`;
}
