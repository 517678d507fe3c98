import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { type GatewayConfig, GATEWAY_TABLE } from "../core/gateway-config.ts";
import { createLogger } from "../core/log.ts";
import type { Gateway } from "../gateway.ts";
import { defineCommand } from "./command.ts";
import { runDaemon } from "./daemon.ts";
import { CHECK_FLAGS, checked, setting } from "./settings.ts";

export const command = defineCommand({
  name: "gateway",
  summary: "run a gateway: MQTT broker, journal, functions and the link to the control plane",
  usage: "[--config FILE] [flags]",
  flags: {
    ...CHECK_FLAGS,
    id: { type: "string", value: "ID", description: "Name of the gateway, id of the configuration" },
    data: { type: "string", value: "DIR", description: "Data folder, data of the configuration" },
    "mqtt-port": { type: "number", value: "PORT", min: 0, max: 65_535, description: "mqtt.port; 0 picks a free one" },
    "http-port": { type: "number", value: "PORT", min: 0, max: 65_535, description: "http.port; 0 picks a free one" },
    control: { type: "string", value: "URL", description: "control.url; empty for no link" },
    "log-level": { type: "string", value: "LEVEL", description: "log.level" },
  },
  details: `Every setting can also come from the file or from a variable: mqtt.port is MILLRACE_MQTT_PORT. A flag wins over a variable, a
variable over the file. One line on standard output says that it is ready; the log goes to standard error as JSON lines.
SIGTERM and SIGINT end it within 3 s with exit code 0. SIGHUP makes it look at its certificates, users and access rules at once, which it
does by itself too when they change; settings of the configuration need a restart.`,
  examples: [
    "millrace gateway",
    "millrace gateway --config gateway.yaml --check",
    "millrace gateway --id milan-1 --mqtt-port 0 --control ''",
  ],
  async run(context) {
    const { flags } = context;
    const config = loadConfig(GATEWAY_TABLE, {
      ...(flags.config === undefined ? {} : { file: flags.config }),
      env: context.env,
      flags: [
        setting("--id", "id", flags.id),
        setting("--data", "data", flags.data),
        setting("--mqtt-port", "mqtt.port", flags["mqtt-port"]),
        setting("--http-port", "http.port", flags["http-port"]),
        setting("--control", "control.url", flags.control),
        setting("--log-level", "log.level", flags["log-level"]),
      ],
      others: [CONTROL_TABLE],
    });
    if (flags.check) return checked(context, flags.config, config);
    const logger = createLogger("gateway", config.log.level);
    const { startGateway } = await import("../gateway.ts");
    let current = config;
    let running: Gateway | undefined;
    using _ = context.onHangUp?.(() => running?.reload());
    return await runDaemon(context, {
      title: `gateway ${config.id}`,
      start: async () => {
        const gateway = await startGateway(current, { logger });
        running = gateway;
        current = atSamePorts(config, gateway.addresses);
        return gateway;
      },
      passes: (failure, waitMs) => {
        const full = failure instanceof MillraceError && failure.code === "DISK_FULL";
        if (full) logger.error({ error: failure.message, waitMs }, "the disk is full; the gateway starts again when it can write");
        return full;
      },
    });
  },
});

/** A port that was picked freely is kept when the gateway starts again. */
function atSamePorts(config: GatewayConfig, addresses: Gateway["addresses"]): GatewayConfig {
  const listeners = Object.entries(config.mqtt.listeners).map(([name, each]) => {
    const address = addresses[name];
    return [name, address === undefined || each.type === "unix" ? each : { ...each, port: portOf(address) }] as const;
  });
  const mqtt = { ...config.mqtt, port: portOf(addresses.mqtt), listeners: Object.fromEntries(listeners) };
  return { ...config, mqtt, http: { ...config.http, port: portOf(addresses.http) } };
}

/** Of an address that has one, also when it is the usual one of its scheme. */
function portOf(address: string): number {
  return Number(/:(\d+)(?:\/|$)/.exec(address)?.[1]);
}
