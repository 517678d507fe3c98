import { access, constants, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { foundAt } from "../../broker/listeners/unix-socket.ts";
import { messageOf, systemCode } from "../../core/errors.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const CHECK = "unix socket";
/** The mode of a folder in which everybody may replace what others have made: for all to write, and not sticky. */
const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;

/** Whether a gateway can listen at this path, and whether others could take its place. */
export async function checkUnixSocket(setting: string, path: string, gateway: string | undefined): Promise<Finding> {
  const socket = resolve(path);
  const folder = await checkFolder(setting, dirname(socket));
  if (folder?.status === "FAIL") return folder;
  return (await checkPath(setting, socket, gateway)) ?? folder ?? ok(CHECK, `${setting}: ${socket} is free`);
}

async function checkFolder(setting: string, folder: string): Promise<Finding | undefined> {
  try {
    const { mode } = await stat(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    if ((mode & WRITABLE_BY_ALL) === 0 || (mode & STICKY) !== 0) return undefined;
    return warn(
      CHECK,
      `${setting}: everybody may write to ${folder}, and so put a socket of their own there`,
      `Take that away with chmod o-w ${folder}, or set ${setting} to another folder.`,
    );
  } catch (error) {
    const problem = systemCode(error) === "ENOENT" ? `there is no folder ${folder}` : `${folder} is not writable: ${messageOf(error)}`;
    return fail(CHECK, `${setting}: ${problem}`, `Make it, for the user that runs the gateway, or set ${setting} to another folder.`);
  }
}

async function checkPath(setting: string, socket: string, gateway: string | undefined): Promise<Finding | undefined> {
  const change = `set ${setting} to another path.`;
  try {
    const found = await foundAt(socket);
    if (found === "file") return fail(CHECK, `${setting}: ${socket} is there, and no socket`, `Remove it, or ${change}`);
    if (found === "left") return ok(CHECK, `${setting}: ${socket} is left from a program that has ended; a start replaces it`);
    if (found === "nothing") return undefined;
    if (gateway !== undefined) return ok(CHECK, `${setting}: in use by the running gateway "${gateway}"`);
    return fail(CHECK, `${setting}: another program listens at ${socket}`, `Stop it, or ${change}`);
  } catch (error) {
    return fail(CHECK, `${setting}: ${socket} cannot be reached: ${messageOf(error)}`, `Run this as the user of the gateway, or ${change}`);
  }
}
