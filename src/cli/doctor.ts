import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_TABLE, type GatewayConfig } from "../core/gateway-config.ts";
import { defineCommand } from "./command.ts";
import { checkDisk } from "./doctor/disk.ts";
import type { Finding } from "./doctor/finding.ts";
import { checkClock, checkIsolation, checkNode } from "./doctor/machine.ts";
import { checkLink, checkPort, runningGateway } from "./doctor/network.ts";
import { setting } from "./settings.ts";

export const command = defineCommand({
  name: "doctor",
  summary: "check whether this machine can run a gateway, and say what to do where it cannot",
  usage: "[--config FILE] [--data DIR]",
  flags: {
    config: { type: "string", value: "FILE", description: "Configuration file of the gateway; without it the defaults are checked" },
    data: { type: "string", value: "DIR", description: "Data folder to check instead of the configured one" },
  },
  details: `Looks at Node, the ports, the data folder, free space, how long the disk takes to sync, whether a host process is really held
back by the permission model, the clock, and the link. Leaves nothing behind. Exit code 1 when a line says FAIL; a warning is not a failure.`,
  examples: ["millrace doctor", "millrace doctor --config gateway.yaml --json"],
  async run(context) {
    const config = loadConfig(GATEWAY_TABLE, {
      ...(context.flags.config === undefined ? {} : { file: context.flags.config }),
      env: context.env,
      flags: [setting("--data", "data", context.flags.data)],
      others: [CONTROL_TABLE],
    });
    const findings: Finding[] = [];
    for await (const finding of examine(config, context.signal)) {
      findings.push(finding);
      if (!context.json) context.stdout(line(finding));
    }
    const failed = findings.filter(({ status }) => status === "FAIL").length;
    if (context.json) context.stdout(`${JSON.stringify({ ok: failed === 0, checks: findings })}\n`);
    if (failed > 0) throw new MillraceError("DOCTOR_FAILED", `${failed} of ${findings.length} checks failed`);
    return 0;
  },
});

async function* examine(config: GatewayConfig, signal: AbortSignal): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  yield checkClock(new Date(), signal);
  const gateway = await runningGateway(config.http, signal);
  yield checkPort("mqtt.port", config.mqtt, gateway);
  yield checkPort("http.port", config.http, gateway);
  yield* await checkDisk(config.data, gateway);
  yield checkIsolation(join(tmpdir(), "millrace-doctor-forbidden"), signal);
  yield checkLink(config.control.url, signal);
}

function line({ check, status, message, remedy }: Finding): string {
  const head = `${status.padEnd(7)}  ${check.padEnd(11)}  ${message}\n`;
  return remedy === undefined ? head : `${head}${" ".repeat(9)}→ ${remedy}\n`;
}
