import type { Client, PublishPacket } from "aedes";
import type { Logger } from "../../core/log.ts";
import { topicProblem } from "../../core/topic.ts";
import type { Access } from "../access/access.ts";
import { entryOf, type Intake, payloadProblem, propertiesProblem } from "../intake.ts";
import { dropForeign, messageOfPacket } from "../packet.ts";
import type { StoredWill, WillMessage } from "./stored-will.ts";
import type { WillOutlet } from "./wills.ts";

interface Parts {
  readonly access: Pick<Access, "willProblem">;
  readonly intake: Pick<Intake, "matches" | "append">;
  readonly payloadBytesMax: number;
  readonly counters: { received: number; willsRefused: number };
  readonly engine: {
    readonly closed: boolean;
    publish(packet: PublishPacket, client: Client, done: (error?: Error) => void): void;
  };
  /** Whether the disk has refused a write: the engine only seems to take what it publishes then. */
  readonly isBroken: () => boolean;
  readonly logger: Logger;
}

/** Publishes wills that are due, if their clients still may. */
export class WillPublisher implements WillOutlet {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get isClosed(): boolean {
    return this.#parts.engine.closed;
  }

  async publish({ bearer, message: will }: StoredWill): Promise<void> {
    const { access, intake, counters, payloadBytesMax, logger } = this.#parts;
    const packet = packetOf(will);
    if (access.willProblem(bearer, packet) !== undefined) {
      counters.willsRefused++;
      return;
    }
    dropForeign(packet);
    const message = messageOfPacket(bearer.client, packet);
    const problem = topicProblem(will.topic) ?? payloadProblem(packet, payloadBytesMax) ?? propertiesProblem(message);
    if (problem !== undefined) {
      counters.willsRefused++;
      logger.warn({ client: bearer.client, topic: will.topic.slice(0, 200), problem }, "a will cannot be published");
      return;
    }
    counters.received++;
    const wake = intake.matches(will.topic);
    if (wake !== "none") await settled((done) => intake.append(entryOf(message, wake === "volatile"), done));
    // Of who is gone the engine uses the id: a subscription may leave out what its own client has published.
    await settled((done) => this.#parts.engine.publish(packet, { id: bearer.client } as Client, done));
    if (this.#parts.isBroken()) throw new Error("the session store could not be written");
  }
}

function packetOf({ topic, payload, qos, retain, properties }: WillMessage): PublishPacket {
  return {
    cmd: "publish",
    topic,
    payload,
    qos,
    retain,
    dup: false,
    ...(properties === undefined ? {} : { properties: { ...properties } }),
  };
}

function settled(run: (done: (error?: Error) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => run((error) => (error instanceof Error ? reject(error) : resolve())));
}
