import type { ConfigTable } from "./config-table.ts";
import { LOG_LEVELS } from "./stats.ts";

const PORT = { type: "int", min: 0, max: 65_535 } as const;

/** Everything that can be set on a control plane. docs/reference/configuration.md is this table. */
export const CONTROL_TABLE = {
  data: {
    type: "string",
    default: ".millrace/control",
    check: notEmpty,
    description: "Folder of the store: functions, versions, gateways, events.",
  },
  "http.host": { type: "string", default: "127.0.0.1", check: notEmpty, description: "Address the HTTP API listens on." },
  "http.port": { ...PORT, default: 8340, description: "Port of the HTTP API; 0 picks a free one." },
  "mqtt.host": {
    type: "string",
    default: "127.0.0.1",
    check: notEmpty,
    description: "Address the link's MQTT listens on; `0.0.0.0` for gateways elsewhere.",
  },
  "mqtt.port": { ...PORT, default: 8884, description: "Port of the link's MQTT; 0 picks a free one." },
  "log.level": {
    type: "string",
    default: "info",
    choices: LOG_LEVELS,
    description: "Least severe level that the process logs on standard error.",
  },
} as const satisfies ConfigTable;

function notEmpty(text: string): string | undefined {
  return text.trim() === "" ? "it is empty" : undefined;
}
