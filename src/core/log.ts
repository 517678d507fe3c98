import { pino, type Logger } from "pino";

export type { Logger };

/** JSON lines on standard error, which leaves standard output to what a command prints. */
export function createLogger(name: string, level: string): Logger {
  return pino({ name, level, base: { name, pid: process.pid } }, pino.destination({ fd: 2, sync: true }));
}

/** For parts that are run without anyone to read. */
export const silentLogger: Logger = pino({ enabled: false });
