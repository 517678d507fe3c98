import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { GATEWAY_TABLE } from "../core/gateway-config.ts";
import { createLogger } from "../core/log.ts";
import { defineCommand } from "./command.ts";
import { runDaemon } from "./daemon.ts";
import { CHECK_FLAGS, checked, setting } from "./settings.ts";

export const command = defineCommand({
  name: "control",
  summary: "run the control plane: function versions, gateways and the events they send",
  usage: "[--config FILE] [flags]",
  flags: {
    ...CHECK_FLAGS,
    data: { type: "string", value: "DIR", description: "Data folder, data of the configuration" },
    "http-port": { type: "number", value: "PORT", min: 0, max: 65_535, description: "http.port, the API; 0 picks a free one" },
    "mqtt-port": { type: "number", value: "PORT", min: 0, max: 65_535, description: "mqtt.port, the link; 0 picks a free one" },
    "log-level": { type: "string", value: "LEVEL", description: "log.level" },
  },
  details: `Every setting can also come from the file or from a variable: mqtt.port is MILLRACE_MQTT_PORT. A flag wins over a variable, a
variable over the file. One line on standard output says that it is ready; the log goes to standard error as JSON lines.
SIGTERM and SIGINT end it within 3 s with exit code 0.`,
  examples: ["millrace control", "millrace control --config control.yaml --check", "millrace control --data /var/lib/millrace"],
  async run(context) {
    const { flags } = context;
    const config = loadConfig(CONTROL_TABLE, {
      ...(flags.config === undefined ? {} : { file: flags.config }),
      env: context.env,
      flags: [
        setting("--data", "data", flags.data),
        setting("--http-port", "http.port", flags["http-port"]),
        setting("--mqtt-port", "mqtt.port", flags["mqtt-port"]),
        setting("--log-level", "log.level", flags["log-level"]),
      ],
      others: [GATEWAY_TABLE],
    });
    if (flags.check) return checked(context, flags.config, config);
    const logger = createLogger("control", config.log.level);
    const { startControlPlane } = await import("../control-plane.ts");
    const { data, http, mqtt } = config;
    return runDaemon(context, { title: "control plane", start: () => startControlPlane({ data, http, mqtt }, { logger }) });
  },
});
