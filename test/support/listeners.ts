import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IClientOptions } from "mqtt";
import type { Access } from "../../src/broker/access/access.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { listenerRules } from "../../src/broker/listeners/rules.ts";
import { loadConfig } from "../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";
import { accessOf } from "./access.ts";
import { connectClient, startBroker, TestIntake } from "./broker.ts";
import { type Pair, TestCa } from "./certificates.ts";

/** A folder with a CA and certificates of a gateway and of clients. A Unix socket in it has a short path. */
export class ListenerSite implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "mr-"));
  readonly intake = new TestIntake();
  readonly ca = new TestCa(join(this.folder, "ca"));
  readonly server = this.ca.issue("localhost", "DNS:localhost,IP:127.0.0.1,IP:::1");
  readonly #brokers: Broker[] = [];
  readonly #accesses: Access[] = [];

  /** A broker with listeners as a configuration file has them; `more` is for what tests need. */
  async start(listeners: Readonly<Record<string, object>>, more: Partial<BrokerOptions> = {}): Promise<Broker> {
    const text = JSON.stringify({ mqtt: { listeners } });
    const { mqtt } = loadConfig(GATEWAY_TABLE, { text, env: {} });
    const rules = Object.entries(mqtt.listeners).map(([name, each]) => listenerRules(name, each));
    const folder = join(this.folder, `broker-${this.#brokers.length}`);
    const broker = await startBroker(this.intake, folder, { listeners: rules, ...more });
    this.#brokers.push(broker);
    return broker;
  }

  /** Who may come in by the files in this folder; closed with the site, when nobody writes to the audit log any more. */
  access(settings = ""): Access {
    const access = accessOf(this.folder, { settings });
    this.#accesses.push(access);
    return access;
  }

  /** What TLS listeners of this site have in common. */
  get tls(): { certificate: string; key: string; port: number } {
    return { ...this.server, port: 0 };
  }

  get socket(): string {
    return join(this.folder, "mqtt.sock");
  }

  /** Options of a client that trusts the CA, with a certificate of its own if it has one. */
  trusting(own?: Pair): IClientOptions {
    const trust = { ca: this.ca.text };
    return own === undefined ? trust : { ...trust, cert: readFileSync(own.certificate), key: readFileSync(own.key) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const broker of this.#brokers) await broker.close();
    for (const access of this.#accesses) await access[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function addressOf(broker: Broker, name: string): string {
  return statsOf(broker, name).address;
}

export function statsOf(broker: Broker, name: string): Broker["listeners"][number] {
  const found = broker.listeners.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no listener ${name}`);
  return found;
}

/** Whether a listener lets somebody in. */
export async function letsIn(broker: Broker, name: string, options: IClientOptions = {}): Promise<boolean> {
  try {
    await using client = await connectClient(addressOf(broker, name), options);
    return client.mqtt.connected;
  } catch {
    return false;
  }
}
