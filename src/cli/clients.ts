import type { ClientInfo } from "../core/client-info.ts";
import { MillraceError } from "../core/errors.ts";
import { formatDuration, formatSize } from "../core/units.ts";
import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { clip, count, printable, table } from "./terminal/text.ts";

const FLAGS = {
  user: { type: "string", value: "NAME", description: "Only clients of this user" },
  limit: { type: "number", value: "N", min: 1, max: 10_000, default: 100, description: "How many, by client id" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

const NAME_WIDTH = 40;
const FILTERS_WIDTH = 60;

export const command = defineCommand({
  name: "clients",
  summary: "list who is connected to a gateway's broker, disconnect a client, or end its session",
  usage: "[disconnect ID | forget ID] [flags]",
  positionals: { min: 0, max: 2 },
  flags: FLAGS,
  details: `
QUEUED counts messages that wait for the client, up to 10,000. disconnect ends the connection; a client that connects again by itself comes back,
unless its user is removed first with \`millrace users remove\`. forget ends the session too, also that of a client that is away: what waits for it and its
subscriptions are deleted, and another user may have its id. With --json one object on each line.`,
  examples: [
    "millrace clients",
    "millrace clients --user sensor-7 --json",
    "millrace clients disconnect boiler-1",
    "millrace clients forget boiler-1",
  ],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { flags, positionals, json, signal } = context;
  const gateway = new GatewayClient(flags.gateway, signal);
  const [verb, id] = positionals;
  if (verb !== undefined) {
    if ((verb !== "disconnect" && verb !== "forget") || id === undefined)
      throw new MillraceError("USAGE", "clients: expected nothing, disconnect ID, or forget ID");
    if (verb === "forget") {
      await gateway.forget(id);
      context.stdout(json ? `${JSON.stringify({ forgotten: id })}\n` : `the session of ${printable(id)} has ended\n`);
      return 0;
    }
    await gateway.disconnect(id);
    context.stdout(json ? `${JSON.stringify({ disconnected: id })}\n` : `${printable(id)} is disconnected\n`);
    return 0;
  }
  const clients = await gateway.clients({ user: flags.user, limit: flags.limit });
  if (json) for (const client of clients) context.stdout(`${JSON.stringify(client)}\n`);
  else context.stdout(clients.length === 0 ? "nobody is connected\n" : listOf(clients, Date.now()));
  return 0;
}

function listOf(clients: readonly ClientInfo[], now: number): string {
  const rows = clients.map(({ id, user = "-", address = "-", listener, since, subscriptions, queued, bytesIn, bytesOut }) => [
    clip(printable(id), NAME_WIDTH),
    clip(printable(user), NAME_WIDTH),
    address,
    listener,
    formatDuration(Math.max(0, Math.floor((now - since) / 1_000) * 1_000)),
    count(queued),
    formatSize(bytesIn),
    formatSize(bytesOut),
    clip(printable(subscriptions.join(" ")), FILTERS_WIDTH),
  ]);
  return table(["client", "user", "address", "listener", "for", "queued", "in", "out", "subscriptions"], rows, ["queued", "in", "out"]);
}
