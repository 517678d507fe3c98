import { systemClock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_ID } from "../core/link.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { functionFolders } from "./deploy/discover.ts";
import { DevModel } from "./dev/model.ts";
import { createOutput } from "./dev/output.ts";
import { checkPorts } from "./dev/ports.ts";
import { type DevOptions, runSession } from "./dev/session.ts";

const PORT = { type: "number", value: "PORT", min: 0, max: 65_535 } as const;

const FLAGS = {
  simulate: { type: "boolean", description: "Publish simulated sensors at two sites, about 20 messages a second" },
  data: { type: "string", value: "DIR", default: ".millrace", description: "Data folder of gateway and control plane, and their logs" },
  "mqtt-port": { ...PORT, default: 1883, description: "Port of the gateway's broker; 0 picks a free one" },
  "http-port": { ...PORT, default: 8330, description: "Port of the gateway's HTTP; 0 picks a free one" },
  "control-port": { ...PORT, default: 8340, description: "Port of the control plane's HTTP; 0 picks a free one" },
  "link-port": { ...PORT, default: 8884, description: "Port of the control plane's MQTT; 0 picks a free one" },
  "gateway-id": { type: "string", value: "ID", default: "dev", description: "Name of the gateway; keep it as long as you keep the data" },
  watch: { type: "boolean", default: true, description: "Do not publish functions again when their files change" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "dev",
  summary: "run everything on this machine: control plane, gateway, your functions",
  usage: "[FUNCTIONS_DIR] [flags]",
  positionals: { min: 0, max: 1 },
  flags: FLAGS,
  details: `
Starts a control plane and one gateway as processes of their own, publishes every function folder in FUNCTIONS_DIR (default: functions) through
the control plane, and publishes again whatever changes. A function that does not build is shown, and its old version goes on. Data stays in
--data; the next run continues with it. A gateway or control plane that dies is started again. Ctrl-C ends everything within 3 s.
On a terminal there is a live picture, elsewhere a line every 5 s, with --json one object on each line.`,
  examples: [
    "millrace dev",
    "millrace dev functions --simulate",
    "millrace dev --mqtt-port 0 --http-port 0 --control-port 0 --link-port 0",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals, signal } = context;
  const functionsDir = (positionals[0] ?? "functions").replace(/(?<=.)\/+$/, "");
  const gatewayId = flags["gateway-id"];
  if (!GATEWAY_ID.test(gatewayId)) {
    throw new MillraceError("USAGE", `--gateway-id "${gatewayId}" needs 1 to 64 letters, digits, dots, dashes or underscores`);
  }
  await functionFolders(functionsDir);
  const ports = { mqtt: flags["mqtt-port"], http: flags["http-port"], control: flags["control-port"], link: flags["link-port"] };
  await checkPorts([
    { what: "MQTT", flag: "--mqtt-port", port: ports.mqtt },
    { what: "the gateway's HTTP", flag: "--http-port", port: ports.http },
    { what: "the control plane", flag: "--control-port", port: ports.control },
    { what: "the link", flag: "--link-port", port: ports.link },
  ]);
  const { data, simulate, watch } = flags;
  await present(context, { functionsDir, data, gatewayId, simulate, watch, ports, env: context.env }, signal);
  return 0;
}

async function present(context: Context, options: DevOptions, signal: AbortSignal): Promise<void> {
  const { functionsDir, data, watch } = options;
  using output = createOutput(context);
  const model = new DevModel({ startedAt: Date.now(), functionsDir, data, watching: watch }, (note) => output.note(note));
  output.start(model);
  await runSession(options, { model, clock: systemClock, onReady: () => output.ready(model.state) }, signal);
  model.update({ phase: "stopped" });
}
