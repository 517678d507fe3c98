import { formatSize } from "../core/units.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { buildAll } from "./deploy/build-all.ts";
import { functionFolders } from "./deploy/discover.ts";
import { shortDigest } from "./terminal/text.ts";

const FOLDERS_MAX = 1_000;
const FLAGS = {} as const satisfies FlagTable;

export const command = defineCommand({
  name: "build",
  summary: "build functions and say what is wrong with them, without deploying anything",
  usage: "DIR… [flags]",
  positionals: { min: 1, max: FOLDERS_MAX },
  flags: FLAGS,
  details: `
DIR is a function folder, one with a function.yaml, or a folder of them. What \`millrace publish\` would refuse is refused here, with every mistake of
every function at once: manifests, modules that cannot be bundled, two functions that take the same requests. No code of a function is run, and no
gateway or control plane is needed. The same files give the same digest on every machine.`,
  examples: ["millrace build functions", "millrace build functions/celsius --json"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { positionals, json } = context;
  const folders = (await Promise.all(positionals.map(functionFolders))).flat();
  const built = await buildAll([...new Set(folders)]);
  const functions = built.map(({ name, digest, bytes, folder }) => ({ name, digest, bytes: bytes.length, folder }));
  if (json) context.stdout(`${JSON.stringify({ functions })}\n`);
  else for (const { name, digest, bytes } of functions) context.stdout(`${name}  ${shortDigest(digest)}  ${formatSize(bytes)}\n`);
  return 0;
}
