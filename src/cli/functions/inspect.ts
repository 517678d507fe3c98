import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { digestOf, encodeBundle } from "../../core/bundle.ts";
import { MillraceError } from "../../core/errors.ts";
import { buildFunction } from "../../runtime/build/build.ts";
import { GatewayClient, type InspectionEvent } from "../client/gateway-client.ts";
import type { CommandIo } from "../command.ts";

const mapSchema = z.object({ sources: z.array(z.string()) });

export interface InspectOptions {
  readonly name: string;
  readonly gateway: string;
  readonly forMs: number;
  readonly port: number;
  /** The folder that the function was published from. */
  readonly folder: string | undefined;
}

/** Puts a function into inspection and says where to attach, until Ctrl-C or until it is over. */
export async function inspectFunction(options: InspectOptions, io: CommandIo & { readonly json: boolean }): Promise<number> {
  const { name, gateway, forMs, port, folder } = options;
  const { sources, digest } = folder === undefined ? NO_SOURCES : await sourcesOf(folder);
  try {
    for await (const event of new GatewayClient(gateway, io.signal).inspect(name, { forMs, port, sources })) {
      if (event.event === "ready" && digest !== undefined && digest !== event.digest) {
        io.stderr(`${folder ?? ""} is not what version ${event.version} was built from: lines may be shown at the wrong place\n`);
      }
      if (io.json) io.stdout(`${JSON.stringify(event)}\n`);
      else io.stdout(event.event === "ready" ? readyText(event, forMs) : `${event.message}\n`);
      if (event.event === "ended") return endOf(event);
    }
  } catch (error) {
    if (!io.signal.aborted) throw error;
  }
  if (io.signal.aborted) return 0;
  throw new MillraceError("GATEWAY_UNREACHABLE", `the gateway at ${gateway} has broken off the inspection of "${name}"`);
}

const NO_SOURCES: { readonly sources: Readonly<Record<string, string>>; readonly digest?: string } = { sources: {} };

/** What the debugger is to show: the files of a build of the folder, which carries their names only. */
async function sourcesOf(folder: string): Promise<typeof NO_SOURCES> {
  const bundle = await buildFunction(folder);
  const names = mapSchema.parse(JSON.parse(bundle.sourceMap)).sources;
  const read = names.map(async (name) => [name, await readFile(join(folder, name), "utf8").catch(() => undefined)] as const);
  const found = (await Promise.all(read)).filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  return { sources: Object.fromEntries(found), digest: digestOf(encodeBundle(bundle)) };
}

/** That the time is over is no failure. */
function endOf({ why, message }: InspectionEvent & { event: "ended" }): number {
  if (why === "time") return 0;
  throw new MillraceError("INSPECTION_ENDED", message);
}

function readyText({ function: name, version, address, targets }: InspectionEvent & { event: "ready" }, forMs: number): string {
  const links = targets.flatMap(({ title, devtoolsFrontendUrl, webSocketDebuggerUrl }) => [
    `  ${title}`,
    `    in Chrome    ${devtoolsFrontendUrl}`,
    `    an editor    ${webSocketDebuggerUrl}`,
  ]);
  const port = address.split(":").at(-1) ?? "";
  return [
    `${name} version ${version} runs in a host process of its own; a debugger may hold it, and its messages wait in the journal`,
    ...links,
    `  or open chrome://inspect${port === "9229" ? "" : ` and add localhost:${port} under Configure`}`,
    `it goes back with Ctrl-C, after ${Math.round(forMs / 60_000)} min, or when another version takes over`,
    "",
  ].join("\n");
}
