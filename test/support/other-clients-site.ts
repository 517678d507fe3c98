import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../../src/broker/broker.ts";
import { setUser } from "./access.ts";
import type { Pair } from "./certificates.ts";
import { ListenerSite } from "./listeners.ts";

interface Parts {
  readonly site: ListenerSite;
  readonly broker: Broker;
  readonly press: Pair;
}

/** The user of the site. */
export const OVEN = { user: "oven", password: "a good password" } as const;

/** A broker with a listener of each kind, a user, and a certificate for another one: what tests with the clients of others have in common. */
export class OtherClientsSite implements AsyncDisposable {
  readonly site: ListenerSite;
  readonly broker: Broker;
  /** A certificate for "press". */
  readonly press: Pair;

  private constructor({ site, broker, press }: Parts) {
    this.site = site;
    this.broker = broker;
    this.press = press;
  }

  /** Without `rules` everybody here may do everything. */
  static async open(rules?: string): Promise<OtherClientsSite> {
    const site = new ListenerSite();
    const press = site.ca.issue("press");
    await setUser(site.folder, OVEN.user, OVEN.password);
    if (rules !== undefined) await writeFile(join(site.folder, "access.yaml"), rules, { mode: 0o600 });
    const web = { path: "/mqtt", port: 0 };
    const mutual = { ...site.tls, client_certificates: "required", client_ca: site.ca.certificate };
    const listeners = {
      tls: { type: "tls", ...site.tls },
      mutual: { type: "tls", ...mutual },
      local: { type: "unix", socket: site.socket },
      ws: { type: "ws", ...web },
      wss: { type: "wss", ...site.tls, ...web },
      wssmutual: { type: "wss", ...mutual, ...web },
      known: { type: "tcp", port: 0, anonymous: "none" },
      wsknown: { type: "ws", ...web, anonymous: "none" },
    };
    return new OtherClientsSite({ site, press, broker: await site.start(listeners, { access: site.access() }) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}
