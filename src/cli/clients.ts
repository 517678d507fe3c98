import type { ClientInfo, SessionInfo } from "../core/client-info.ts";
import { MillraceError } from "../core/errors.ts";
import { formatDuration, formatSize } from "../core/units.ts";
import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { clip, count, printable, table } from "./terminal/text.ts";

const FLAGS = {
  away: { type: "boolean", description: "Sessions whose clients are away, the one that was left first in front" },
  user: { type: "string", value: "NAME", description: "Only clients, or sessions, of this user" },
  limit: { type: "number", value: "N", min: 1, max: 10_000, default: 100, description: "How many; clients by their ids" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

const NAME_WIDTH = 40;
const FILTERS_WIDTH = 60;

export const command = defineCommand({
  name: "clients",
  summary: "list who is connected to a gateway's broker or away, disconnect a client, or end its session",
  usage: "[--away | disconnect ID | forget ID] [flags]",
  positionals: { min: 0, max: 2 },
  flags: FLAGS,
  details: `
QUEUED counts messages that wait for the client. --away lists the sessions that wait for their clients instead: FOR is how long already, BYTES what waits
takes on disk, ENDS when the session ends if its client is not back. disconnect ends the connection; a client that connects again by itself comes back,
unless its user is removed first with \`millrace users remove\`. forget ends the session too, also that of a client that is away: what waits for it and its
subscriptions are deleted, and another user may have its id. Both are noted in the audit log of the gateway. With --json one object on each line.`,
  examples: [
    "millrace clients",
    "millrace clients --user sensor-7 --json",
    "millrace clients --away --limit 20",
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
    if (flags.away) throw new MillraceError("USAGE", "clients: --away lists sessions; leave it out to disconnect or forget one");
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
  const query = { user: flags.user, limit: flags.limit };
  if (flags.away) {
    const sessions = await gateway.sessionsAway(query);
    if (json) for (const session of sessions) context.stdout(`${JSON.stringify(session)}\n`);
    else context.stdout(sessions.length === 0 ? "nobody is away\n" : awayOf(sessions, Date.now()));
    return 0;
  }
  const clients = await gateway.clients(query);
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
    inSeconds(now - since),
    count(queued),
    formatSize(bytesIn),
    formatSize(bytesOut),
    clip(printable(subscriptions.join(" ")), FILTERS_WIDTH),
  ]);
  return table(["client", "user", "address", "listener", "for", "queued", "in", "out", "subscriptions"], rows, ["queued", "in", "out"]);
}

function awayOf(sessions: readonly SessionInfo[], now: number): string {
  const rows = sessions.map(({ id, user = "-", since, endsAt, queued, queuedBytes }) => [
    clip(printable(id), NAME_WIDTH),
    clip(printable(user), NAME_WIDTH),
    inSeconds(now - since),
    endsAt === undefined ? "never" : `in ${inSeconds(endsAt - now)}`,
    count(queued),
    formatSize(queuedBytes),
  ]);
  return table(["client", "user", "for", "ends", "queued", "bytes"], rows, ["queued", "bytes"]);
}

function inSeconds(ms: number): string {
  return formatDuration(Math.max(0, Math.floor(ms / 1_000) * 1_000));
}
