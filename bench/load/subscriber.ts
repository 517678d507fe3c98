import { encodePubacks, type TakePacket, TYPE } from "./codec.ts";
import { Connection } from "./connection.ts";
import { type Flow, PIECE_MIN, STAMP_DIGITS, stampNow } from "./publisher.ts";

export interface SubscriberOptions {
  readonly port: number;
  readonly clientId: string;
  readonly filter: string;
  /** Whether the stamps of the messages are read. */
  readonly stamped: boolean;
  readonly qos: 0 | 1;
}

/** Counts what arrives, acknowledges it in batches and keeps the latencies. */
export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #flow: Flow;
  readonly #acks: number[] = [];
  #latenciesMs: number[] = [];
  #connection: Connection | undefined;

  constructor(options: SubscriberOptions, flow: Flow) {
    this.#options = options;
    this.#flow = flow;
  }

  async open(): Promise<void> {
    const chunkDone = (): void => {
      if (this.#options.stamped || this.#acks.length >= PIECE_MIN) this.acknowledge();
    };
    this.#connection = await Connection.open(this.#options, { take: this.#arrived, chunkDone });
    await this.#connection.subscribe(this.#options.filter, this.#options.qos);
  }

  close(): void {
    this.#connection?.close();
  }

  /** Acknowledges what has gathered. */
  acknowledge(): void {
    if (this.#acks.length > 0) this.#connection?.write(encodePubacks(this.#acks));
    this.#acks.length = 0;
  }

  /** The latencies since the last call, in milliseconds, in the order of arrival. */
  takeLatencies(): number[] {
    const taken = this.#latenciesMs;
    this.#latenciesMs = [];
    return taken;
  }

  readonly #arrived: TakePacket = (first, bytes, start, end) => {
    if (first >> 4 !== TYPE.PUBLISH) throw new Error(`unexpected packet type ${first >> 4}`);
    this.#flow.received++;
    if ((first & 6) === 2) this.#acks.push(bytes.readUInt16BE(start + 2 + bytes.readUInt16BE(start)));
    if (this.#options.stamped) this.#latenciesMs.push((stampNow() - stampIn(bytes.subarray(start, end))) / 1e6);
  };
}

/** Every path under test hands the member `t` of the payload on. */
function stampIn(body: Buffer): number {
  const at = body.indexOf('"t":', 0, "latin1");
  if (at < 0) throw new Error("a message arrived without its stamp");
  return Number(body.toString("latin1", at + 4, at + 4 + STAMP_DIGITS));
}
