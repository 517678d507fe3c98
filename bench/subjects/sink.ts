import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Child, Children } from "../children.ts";
import { type Addresses, controlFlags, functionsActive, gatewayFlags, publishFunction, startProgram } from "./programs.ts";

const SINK = fileURLToPath(new URL("../sink", import.meta.url));

const statsSchema = z.object({
  journal: z.object({ seq: z.int(), floor: z.int(), opened: z.object({ tookMs: z.number() }) }),
  functions: z.array(z.object({ handled: z.int() })),
});

/** A gateway that hands messages to a function which does nothing: what is measured is the journal around it. */
export class SinkGateway {
  readonly data: string;
  readonly #children: Children;
  readonly #folder: string;

  private constructor(children: Children, folder: string) {
    this.#children = children;
    this.#folder = folder;
    this.data = join(folder, "gateway");
  }

  /** Deploys the function; the gateway is not running afterwards. */
  static async prepare(children: Children, folder: string): Promise<SinkGateway> {
    const sink = new SinkGateway(children, folder);
    mkdirSync(sink.data, { recursive: true });
    const control = await startProgram(children, "control", controlFlags(join(folder, "control")));
    const linked = await startProgram(children, "gateway", gatewayFlags(sink.data, control.ready["mqtt"] ?? ""));
    await publishFunction(SINK, control.ready["http"] ?? "");
    await functionsActive(linked.ready["http"] ?? "");
    await linked.stop();
    await control.stop();
    return sink;
  }

  /** With these settings beside the usual ones, and without a link. */
  start(settings: Readonly<Record<string, string>> = {}): Promise<Child<Addresses>> {
    const file = join(this.#folder, "gateway.yaml");
    writeFileSync(file, JSON.stringify(settings));
    return startProgram(this.#children, "gateway", [...gatewayFlags(this.data, ""), "--config", file]);
  }

  static async stats(gateway: Addresses): Promise<z.infer<typeof statsSchema>> {
    return statsSchema.parse(await (await fetch(`${gateway["http"] ?? ""}/v1/stats`)).json());
  }
}
