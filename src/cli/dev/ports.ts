import { createServer } from "node:net";
import { MillraceError, systemCode } from "../../core/errors.ts";

export interface WantedPort {
  /** `MQTT` */
  readonly what: string;
  /** `--mqtt-port` */
  readonly flag: string;
  /** 0 is always free. */
  readonly port: number;
}

/**
 * Looks whether the ports can be had before anything is started. Someone may still take one in between; the child then says so.
 * @throws MillraceError PORT_IN_USE naming every port that is taken and its flag; USAGE when one is given twice
 */
export async function checkPorts(wanted: readonly WantedPort[]): Promise<void> {
  const fixed = wanted.filter(({ port }) => port !== 0);
  for (const [index, { port, flag }] of fixed.entries()) {
    const other = fixed.slice(0, index).find((each) => each.port === port);
    if (other !== undefined) throw new MillraceError("USAGE", `${other.flag} and ${flag} are both ${port}`);
  }
  const taken: WantedPort[] = [];
  for (const each of fixed) if (await isTaken(each.port)) taken.push(each);
  if (taken.length === 0) return;
  const list = taken.map(({ what, port, flag }) => `port ${port} for ${what} (move it with ${flag} ${port + 1}, or 0 for any free one)`);
  throw new MillraceError("PORT_IN_USE", `taken already: ${list.join("; ")}. Nothing was started`);
}

function isTaken(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if (systemCode(error) === "EADDRINUSE") resolve(true);
      else reject(new MillraceError("LISTEN_FAILED", `port ${port} cannot be opened: ${error.message}`, { cause: error }));
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(false)));
  });
}
