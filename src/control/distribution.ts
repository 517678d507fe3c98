import { ARTIFACT_CHUNK_BYTES, decodeLink, encodeLink } from "../core/link.ts";
import { artifactGetSchema, reportedSchema } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import type { Catalog } from "./catalog.ts";
import type { Fleet } from "./fleet.ts";
import type { Link } from "./link.ts";

/** Messages of gateways that wait for the store at the same time. */
const BUSY_MAX = 1_000;

/** Answers what gateways say of themselves with what they shall run, and hands out bundles piece by piece. */
export class Distribution {
  readonly #link: Link;
  readonly #catalog: Catalog;
  readonly #fleet: Fleet;
  readonly #logger: Logger;
  #busy = 0;

  constructor(parts: { link: Link; catalog: Catalog; fleet: Fleet }, logger: Logger) {
    this.#link = parts.link;
    this.#catalog = parts.catalog;
    this.#fleet = parts.fleet;
    this.#logger = logger;
    parts.link.onPresence((gateway, connected) => {
      this.#logger.info({ gateway }, connected ? "gateway connected" : "gateway disconnected");
      this.#carry(gateway, () => this.#fleet.presence(gateway, connected));
    });
    parts.link.on("hello", (gateway, payload) => this.#carry(gateway, () => this.#hello(gateway, payload)));
    parts.link.on("reported", (gateway, payload) => this.#carry(gateway, () => this.#reported(gateway, payload)));
    parts.link.on("artifact/get", (gateway, payload) => this.#carry(gateway, () => this.#artifact(gateway, payload)));
  }

  /** Tells every connected gateway what it shall run now. */
  async pushDesired(): Promise<void> {
    const desired = encodeLink(await this.#catalog.desired());
    for (const gateway of this.#fleet.connected) this.#link.publish(gateway, "desired", desired);
  }

  async #hello(gateway: string, payload: Uint8Array): Promise<void> {
    await this.#reported(gateway, payload);
    this.#link.publish(gateway, "desired", encodeLink(await this.#catalog.desired()));
  }

  async #reported(gateway: string, payload: Uint8Array): Promise<void> {
    const reported = decodeLink(reportedSchema, payload);
    if (reported === undefined) this.#logger.warn({ gateway }, "a report of a gateway cannot be read");
    else await this.#fleet.report(gateway, reported);
  }

  async #artifact(gateway: string, payload: Uint8Array): Promise<void> {
    const wanted = decodeLink(artifactGetSchema, payload);
    if (wanted === undefined) return this.#logger.warn({ gateway }, "a request for a bundle cannot be read");
    const chunk = await this.#catalog.chunk(wanted.digest, wanted.offset, ARTIFACT_CHUNK_BYTES);
    this.#link.publish(gateway, "artifact/chunk", encodeLink(chunk));
  }

  /** What fails or is too much at once is logged and not answered: the gateway asks again. */
  #carry(gateway: string, work: () => Promise<void>): void {
    if (this.#busy >= BUSY_MAX) {
      this.#logger.warn({ gateway }, "a message of a gateway is dropped: too many are being handled");
      return;
    }
    this.#busy += 1;
    work()
      .catch((error: unknown) => this.#logger.error({ gateway, err: error }, "a message of a gateway was not handled"))
      .finally(() => (this.#busy -= 1));
  }
}
