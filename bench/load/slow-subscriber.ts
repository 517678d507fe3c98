import { encodePubacks, type TakePacket, TYPE } from "./codec.ts";
import { Connection } from "./connection.ts";
import type { SubscriberOptions } from "./subscriber.ts";

/** Reads a piece now and then, acknowledges what is in it, and leaves the rest to the broker. */
export class SlowSubscriber {
  readonly #connection: Connection;
  readonly #timer: NodeJS.Timeout | undefined;

  private constructor(connection: Connection, reads: number) {
    this.#connection = connection;
    connection.pause();
    this.#timer = reads === 0 ? undefined : setInterval(() => connection.resume(), 1_000 / reads);
  }

  /** `reads` times a second; 0 = never. */
  static async open(options: SubscriberOptions, reads: number): Promise<SlowSubscriber> {
    const acks: number[] = [];
    let connection: Connection | undefined;
    let isSlow = false;
    const take: TakePacket = (first, bytes, start) => {
      if (first >> 4 === TYPE.PUBLISH && (first & 6) === 2) acks.push(bytes.readUInt16BE(start + 2 + bytes.readUInt16BE(start)));
    };
    const chunkDone = (): void => {
      if (isSlow) connection?.pause();
      if (acks.length > 0) connection?.write(encodePubacks(acks));
      acks.length = 0;
    };
    connection = await Connection.open(options, { take, chunkDone });
    await connection.subscribe(options.filter, options.qos);
    isSlow = true;
    return new SlowSubscriber(connection, reads);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#connection.close();
  }
}
