import { systemClock } from "../core/clock.ts";
import type { Published } from "../core/control-api.ts";
import { ControlClient, DEFAULT_CONTROL } from "./client/control-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { awaitGateways, type Rollcall } from "./deploy/await-gateways.ts";
import { buildAll } from "./deploy/build-all.ts";
import { functionFolders } from "./deploy/discover.ts";
import { shortDigest } from "./terminal/text.ts";

const FOLDERS_MAX = 1_000;

const FLAGS = {
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API" },
  wait: { type: "boolean", default: true, description: "Return at once instead of waiting until every connected gateway runs it" },
  timeout: { type: "duration", default: 30_000, description: "How long to wait for the gateways" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "publish",
  summary: "build functions and deploy them as new versions",
  usage: "DIR… [flags]",
  positionals: { min: 1, max: FOLDERS_MAX },
  flags: FLAGS,
  details: `
DIR is a function folder, one with a function.yaml, or a folder of them. Everything is built before anything is sent, so a mistake in one
function deploys none. A function that has not changed gets no new version. Gateways fetch a new version, check its digest, load it and switch
between two messages; when one cannot load it, the version before goes on there and this command exits with 1. So it does when a gateway has
not answered in time. Gateways that are not connected get the version when they are.`,
  examples: ["millrace publish functions/celsius", "millrace publish functions --control http://control.example.com:8340 --json"],
  run,
});

type Outcome = Published & { readonly gateways?: Rollcall };

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { flags, positionals, signal, json } = context;
  const control = new ControlClient(flags.control, signal);
  const folders = (await Promise.all(positionals.map(functionFolders))).flat();
  const built = await buildAll([...new Set(folders)]);
  const published: Published[] = [];
  for (const { name, bytes, digest } of built) {
    const answer = await control.publish(name, bytes, digest);
    published.push(answer);
    if (!json) context.stdout(`${publishedLine(answer)}\n`);
  }
  if (!flags.wait) {
    if (json) context.stdout(`${JSON.stringify({ functions: published })}\n`);
    return 0;
  }
  const options = { timeoutMs: flags.timeout, clock: systemClock, signal };
  const answers = await awaitGateways(published, () => control.gateways(), options);
  const outcomes = published.map((each, index): Outcome => {
    const gateways = answers[index];
    return gateways === undefined ? each : { ...each, gateways };
  });
  context.stdout(json ? `${JSON.stringify({ functions: outcomes })}\n` : gatewaysText(outcomes));
  return answers.every(({ failed, waiting }) => failed.length === 0 && waiting.length === 0) ? 0 : 1;
}

function publishedLine({ name, version, digest, unchanged }: Published): string {
  return `${name} v${version}  ${shortDigest(digest)}  ${unchanged ? "unchanged" : "published"}`;
}

/** One line when all is well everywhere, otherwise one for each thing that is not. */
export function gatewaysText(outcomes: readonly Outcome[]): string {
  const lines: string[] = [];
  const active = new Set<string>();
  for (const { name, version, gateways } of outcomes) {
    for (const id of gateways?.active ?? []) active.add(id);
    for (const { gateway, error } of gateways?.failed ?? []) lines.push(`${name} v${version} failed on ${gateway}: ${error}`);
    for (const gateway of gateways?.waiting ?? []) lines.push(`${name} v${version} is not active on ${gateway} yet`);
  }
  if (lines.length === 0) {
    const ids = [...active].toSorted();
    lines.push(ids.length === 0 ? "no gateway is connected; each gets it when it connects" : `active on ${ids.join(", ")}`);
  }
  return `${lines.join("\n")}\n`;
}
