import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import type { DeadLetterAnswer } from "./client/gateway-schemas.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { count, printable } from "./terminal/text.ts";

const PAGE = 1_000;

const FLAGS = {
  limit: { type: "number", value: "N", min: 1, max: PAGE, default: 20, description: "How many, the newest" },
  clear: { type: "boolean", description: "Delete them, of FUNCTION or all" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "dead-letters",
  summary: "show or delete the messages that functions of a gateway have given up",
  usage: "[FUNCTION] [flags]",
  flags: FLAGS,
  positionals: { min: 0, max: 1 },
  details: `
Each has the last try (position and attempt, which \`millrace trace\` takes), the topic, how often it was tried, and what that failed with. With
--json one object on each line, with the payload in Base64. They are kept up to dead_letters.bytes_max; then a function whose overflow is "block"
waits until some are deleted.`,
  examples: ["millrace dead-letters", "millrace dead-letters celsius --json", "millrace dead-letters celsius --clear"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { flags, signal, json } = context;
  const gateway = new GatewayClient(flags.gateway, signal);
  const [name] = context.positionals;
  if (flags.clear) {
    const deleted = await gateway.clearDeadLetters(name);
    context.stdout(json ? `${JSON.stringify({ deleted })}\n` : `${count(deleted)} dead letters are deleted\n`);
    return 0;
  }
  const letters = await gateway.deadLetters(name, flags.limit);
  for (const letter of letters.toReversed()) context.stdout(`${json ? JSON.stringify(letter) : deadLetterLine(letter)}\n`);
  if (letters.length === 0 && !json) context.stdout("no message was given up\n");
  return 0;
}

function deadLetterLine({ time, function: name, version, seq, topic, attempts, code, error, trace }: DeadLetterAnswer): string {
  const tries = `${attempts} ${attempts === 1 ? "try" : "tries"}`;
  return printable(
    `${new Date(time).toISOString()}  ${name} v${version}  #${seq}.${attempts}${trace === undefined ? "" : ` ${trace}`}  ${topic}  ${tries}  ${code}: ${error}`,
  );
}
