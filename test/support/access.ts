import { Access } from "../../src/broker/access/access.ts";
import { accessOptions } from "../../src/broker/access/access-options.ts";
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
