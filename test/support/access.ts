import { join } from "node:path";
import { Access } from "../../src/broker/access/access.ts";
import { accessOptions } from "../../src/broker/access/access-options.ts";
import { hashPassword } from "../../src/broker/access/password-hash.ts";
import { updateUsers } from "../../src/broker/access/users-file.ts";
import type { Clock } from "../../src/core/clock.ts";
import { loadConfig } from "../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";
import { type Logger, silentLogger } from "../../src/core/log.ts";

interface Parts {
  /** Lines of a configuration, such as `mqtt.jwt_keys: keys.json`. */
  readonly settings?: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** Who may come in and do what at a gateway whose data is in this folder. */
export function accessOf(folder: string, { settings = "", logger = silentLogger, clock }: Parts = {}): Access {
  const config = loadConfig(GATEWAY_TABLE, { env: {}, text: `data: ${JSON.stringify(folder)}\n${settings}` });
  return new Access(accessOptions(config), logger, clock);
}

/** Adds somebody to the users file of the folder, or changes what is there of them. */
export async function setUser(folder: string, name: string, password: string, groups: readonly string[] = []): Promise<void> {
  const hash = await hashPassword(password);
  await updateUsers(join(folder, "users.json"), (users) => void users.set(name, { password: hash, groups }));
}
