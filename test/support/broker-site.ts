import { afterEach, beforeEach } from "vitest";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { startBroker, TestIntake } from "./broker.ts";
import { TempFolder } from "./temp-folder.ts";

interface Parts {
  readonly folder: TempFolder;
  readonly intake: TestIntake;
  readonly broker: Broker;
}

/** A broker with an intake and a folder of its own. */
export class BrokerSite {
  readonly #options: Partial<BrokerOptions>;
  #parts: Parts | undefined;

  constructor(options: Partial<BrokerOptions>) {
    this.#options = options;
  }

  get folder(): TempFolder {
    return this.#open.folder;
  }

  get intake(): TestIntake {
    return this.#open.intake;
  }

  get broker(): Broker {
    return this.#open.broker;
  }

  async open(): Promise<void> {
    const folder = await TempFolder.make();
    const intake = new TestIntake();
    this.#parts = { folder, intake, broker: await startBroker(intake, folder.path, this.#options) };
  }

  /** In the same folder, which a test may have changed while the broker was closed; with other options if they are given. */
  async restart(options: Partial<BrokerOptions> = {}): Promise<void> {
    const { folder, intake, broker } = this.#open;
    await broker.close();
    this.#parts = { folder, intake, broker: await startBroker(intake, folder.path, { ...this.#options, ...options }) };
  }

  async close(): Promise<void> {
    await this.broker.close();
    await this.folder[Symbol.asyncDispose]();
  }

  get #open(): Parts {
    if (this.#parts === undefined) throw new Error("there is no broker outside of a test");
    return this.#parts;
  }
}

/** A new one for each test of the file. */
export function brokerForEach(options: Partial<BrokerOptions> = {}): BrokerSite {
  const site = new BrokerSite(options);
  beforeEach(() => site.open());
  afterEach(() => site.close());
  return site;
}
