import type { Command } from "./command.ts";

interface CommandEntry {
  readonly name: string;
  /** Loaded only when it is wanted: most commands need little of the program. */
  load(): Promise<{ readonly command: Command }>;
}

/** In the order of the help text: running things, deploying, looking, checking. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: "dev", load: () => import("./dev.ts") },
  { name: "gateway", load: () => import("./gateway.ts") },
  { name: "control", load: () => import("./control.ts") },
  { name: "build", load: () => import("./build.ts") },
  { name: "publish", load: () => import("./publish.ts") },
  { name: "functions", load: () => import("./functions.ts") },
  { name: "gateways", load: () => import("./gateways.ts") },
  { name: "invoke", load: () => import("./invoke.ts") },
  { name: "events", load: () => import("./events.ts") },
  { name: "logs", load: () => import("./logs.ts") },
  { name: "trace", load: () => import("./trace.ts") },
  { name: "stats", load: () => import("./stats.ts") },
  { name: "record", load: () => import("./record.ts") },
  { name: "dead-letters", load: () => import("./dead-letters.ts") },
  { name: "replay", load: () => import("./replay.ts") },
  { name: "secrets", load: () => import("./secrets.ts") },
  { name: "clients", load: () => import("./clients.ts") },
  { name: "users", load: () => import("./users.ts") },
  { name: "access", load: () => import("./access.ts") },
  { name: "doctor", load: () => import("./doctor.ts") },
];

/** Verbs that Millrace is going to have, so that asking for one is answered with more than "unknown". */
export const PLANNED: readonly string[] = ["init", "test", "alias", "rollout", "apply", "diff", "enroll", "keys"];
