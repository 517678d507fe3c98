import { publishBlock, type PublishBlock, type TakePacket, traceProperties, TYPE } from "./codec.ts";
import { Connection } from "./connection.ts";

/** Shared by the publishers and the subscriber of one run. */
export interface Flow {
  /** Deliveries that a message becomes. */
  readonly copies: number;
  sent: number;
  received: number;
  stopped: boolean;
}

const BURST_MAX = 512;

/** Smaller pieces are left to wait for the next tick of the clock, a millisecond at most: a system call for each message would be measured. */
export const PIECE_MIN = 64;
const IDS = 65_535;

/** A stamp is nanoseconds of the monotonic clock plus this, so that it always has 16 digits and is still exact as a JSON number. */
const STAMP_BASE = 1e15;
export const STAMP_DIGITS = 16;

export function stampNow(): number {
  return STAMP_BASE + Math.round(performance.now() * 1e6);
}

/** One SenML-like reading that carries its stamp: 72 bytes, or more, with blanks behind it. */
function payloadOf(index: number, bytes = 0): string {
  return `{"n":"sensor-${String(index).padStart(4, "0")}","u":"Cel","v":21.53,"t":${STAMP_BASE},"q":"valid"}`.padEnd(bytes);
}
const BLOCK_BYTES_MAX = 16 * 1024 * 1024;
const STAMP_AT = payloadOf(0).indexOf(String(STAMP_BASE));

export interface PublisherOptions {
  readonly port: number;
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly window: number;
  readonly outstanding: number;
  readonly qos: 0 | 1;
  readonly payloadBytes?: number | undefined;
  /** Each message names a trace. */
  readonly traced?: boolean | undefined;
  /** Sends only what `pump` is told is due, each message with the time of its write; otherwise as much as the bounds allow. */
  readonly paced: boolean;
}

/** Sends publishes with many in flight, many packets to a write. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #flow: Flow;
  readonly #block: PublishBlock;
  /** Packet id → 1 while its PUBACK is awaited. */
  readonly #waiting = new Uint8Array(IDS + 1);
  #connection: Connection | undefined;
  #inFlight = 0;
  #nextId = 1;
  #nextPacket = 0;

  constructor(options: PublisherOptions, flow: Flow) {
    this.#options = options;
    this.#flow = flow;
    // Topics repeated until a burst seldom meets the end of the block.
    const { topics, payloadBytes = 0, traced = false, qos } = options;
    const most = Math.max(1, Math.floor(BLOCK_BYTES_MAX / Math.max(1, payloadBytes * topics.length)));
    const repeats = Math.min(most, Math.ceil((2 * BURST_MAX) / topics.length));
    this.#block = publishBlock(Array.from({ length: repeats }, () => topics).flat(), (index) => payloadOf(index % 10_000, payloadBytes), {
      qos,
      ...(traced ? { properties: traceProperties() } : {}),
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** How many messages the bounds allow now. */
  get room(): number {
    const { window, outstanding } = this.#options;
    const { copies, sent, received } = this.#flow;
    return Math.min(window - this.#inFlight, Math.ceil((outstanding - (sent * copies - received)) / copies));
  }

  async open(): Promise<void> {
    const chunkDone = (): void => {
      if (!this.#options.paced && this.room >= PIECE_MIN) this.pump(Infinity);
    };
    const version = this.#options.traced === true ? 5 : 4;
    this.#connection = await Connection.open({ ...this.#options, version }, { take: this.#acknowledged, chunkDone });
  }

  close(): void {
    this.#connection?.close();
  }

  /** Sends as much as the bounds allow, at most `due` messages; returns how many. */
  pump(due: number): number {
    const connection = this.#connection;
    if (connection === undefined) return 0;
    let total = 0;
    while (!this.#flow.stopped) {
      const count = Math.min(due - total, this.room, BURST_MAX, this.#block.count - this.#nextPacket);
      if (count <= 0) break;
      connection.write(this.#burst(count));
      total += count;
    }
    return total;
  }

  #burst(count: number): Buffer {
    const { packetBytes, idAt, payloadAt, bytes } = this.#block;
    const from = this.#nextPacket * packetBytes;
    const burst = Buffer.allocUnsafe(count * packetBytes);
    bytes.copy(burst, 0, from, from + burst.length);
    const stamp = this.#options.paced ? String(stampNow()) : undefined;
    for (let at = 0; at < burst.length; at += packetBytes) {
      if (idAt !== undefined) burst.writeUInt16BE(this.#takeId(), at + idAt);
      if (stamp !== undefined) burst.write(stamp, at + payloadAt + STAMP_AT, "latin1");
    }
    this.#nextPacket = (this.#nextPacket + count) % this.#block.count;
    if (idAt !== undefined) this.#inFlight += count;
    this.#flow.sent += count;
    return burst;
  }

  #takeId(): number {
    const id = this.#nextId;
    if (this.#waiting[id] === 1) throw new Error(`packet id ${id} was not acknowledged while ${IDS} others were`);
    this.#waiting[id] = 1;
    this.#nextId = id === IDS ? 1 : id + 1;
    return id;
  }

  readonly #acknowledged: TakePacket = (first, bytes, start) => {
    const id = bytes.readUInt16BE(start);
    if (first >> 4 !== TYPE.PUBACK || this.#waiting[id] !== 1) throw new Error(`unexpected packet type ${first >> 4} for packet id ${id}`);
    this.#waiting[id] = 0;
    this.#inFlight--;
  };
}
