import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_TABLE, type GatewayConfig } from "../core/gateway-config.ts";
import { defineCommand } from "./command.ts";
import { checkDisk, NOT_LOCKED } from "./doctor/disk.ts";
import type { Finding } from "./doctor/finding.ts";
import { checkListeners } from "./doctor/listeners.ts";
import { checkJournal, journalText } from "./doctor/journal.ts";
import { checkClock, checkIsolation, checkMemoryCap, checkNode } from "./doctor/machine.ts";
import { checkLink, checkPort, runningGateway } from "./doctor/network.ts";
import { thisProcess } from "../runtime/own-group.ts";
import { setting } from "./settings.ts";

export const command = defineCommand({
  name: "doctor",
  summary: "check whether this machine can run a gateway, and say what to do where it cannot",
  usage: "[--config FILE] [--data DIR]",
  flags: {
    config: { type: "string", value: "FILE", description: "Configuration file of the gateway; without it the defaults are checked" },
    data: { type: "string", value: "DIR", description: "Data folder to check instead of the configured one" },
  },
  details: `Looks at Node, the ports, Unix sockets and certificates, the data folder, free space, how long the disk takes to sync, whether a host process is
really held back by the permission model, who limits its memory, the clock, and the link; and into the journal of a gateway that is not running:
what waits in it for whom, what takes the space, what is damaged. Changes nothing and leaves nothing behind. Exit code 1 when a line says FAIL; a
warning is not a failure.`,
  examples: ["millrace doctor", "millrace doctor --config gateway.yaml --json", "millrace doctor --data /var/lib/millrace"],
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
    const { finding, journal } = await checkJournal(config.data, lockedBy(findings));
    findings.push(finding);
    if (!context.json) context.stdout(line(finding) + (journal === undefined ? "" : journalText(journal)));
    const failed = findings.filter(({ status }) => status === "FAIL").length;
    if (context.json)
      context.stdout(`${JSON.stringify({ ok: failed === 0, checks: findings, ...(journal === undefined ? {} : { journal }) })}\n`);
    if (failed > 0) throw new MillraceError("DOCTOR_FAILED", `${failed} of ${findings.length} checks failed`);
    return 0;
  },
});

async function* examine(config: GatewayConfig, signal: AbortSignal): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  yield checkClock(new Date(), signal);
  const gateway = await runningGateway(config.http, signal);
  yield checkPort("mqtt.port", config.mqtt, gateway);
  yield* checkListeners(config.mqtt.listeners, gateway);
  yield checkPort("http.port", config.http, gateway);
  yield* await checkDisk(config.data, gateway);
  yield checkIsolation(join(tmpdir(), "millrace-doctor-forbidden"), signal);
  yield checkMemoryCap(config.runtime.host_cgroups, thisProcess());
  yield checkLink(config.control.url, signal);
}

/** What the check of the data folder's lock says when a process has it. */
function lockedBy(findings: readonly Finding[]): string | undefined {
  const lock = findings.find(({ check }) => check === "data lock");
  return lock === undefined || lock.message === NOT_LOCKED ? undefined : lock.message;
}

function line({ check, status, message, remedy }: Finding): string {
  const head = `${status.padEnd(7)}  ${check.padEnd(11)}  ${message}\n`;
  return remedy === undefined ? head : `${head}${" ".repeat(9)}→ ${remedy}\n`;
}
