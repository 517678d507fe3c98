import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { MillraceError } from "../../src/core/errors.ts";
import { encodeConnect, encodeSubscribe, PacketReader, type TakePacket, TYPE } from "./codec.ts";

/** One MQTT connection. What the broker sends after the handshake goes to `take`; `chunkDone` is called after each piece of the stream. */
export interface Reader {
  readonly take: TakePacket;
  chunkDone(): void;
}

/** One buffer for all reads of all connections: allocating one for each costs as much as the rest of the work. */
const READ_BUFFER = Buffer.allocUnsafe(65_536);

export interface Endpoint {
  readonly port: number;
  readonly clientId: string;
  /** Of MQTT; 3.1.1 by default. */
  readonly version?: 4 | 5;
  /** Seconds; none by default. */
  readonly keepAlive?: number;
}

export class Connection {
  readonly #socket: Socket;
  readonly #receive: (chunk: Buffer) => void;
  readonly #replies = new Map<number, (code: number) => void>();
  #closing = false;

  private constructor(socket: Socket, reader: Reader) {
    this.#socket = socket;
    const packets = new PacketReader((first, bytes, start, end) => {
      const reply = this.#replies.get(first >> 4);
      // In version 5 properties follow the code of a CONNACK.
      if (reply !== undefined) reply(bytes[first >> 4 === TYPE.CONNACK ? start + 1 : end - 1] ?? 255);
      else reader.take(first, bytes, start, end);
    });
    this.#receive = (chunk) => {
      packets.read(chunk);
      reader.chunkDone();
    };
    socket.on("close", () => {
      // A load that loses a connection measures something else; it must not go on.
      if (!this.#closing) throw new Error("the broker closed a connection of the load generator");
    });
  }

  static async open(to: Endpoint, reader: Reader): Promise<Connection> {
    let receive: ((chunk: Buffer) => void) | undefined;
    const onread = {
      buffer: READ_BUFFER,
      callback: (count: number, bytes: Uint8Array): boolean => {
        receive?.(Buffer.from(bytes.buffer, bytes.byteOffset, count));
        return true;
      },
    };
    const socket = connect({ port: to.port, host: "127.0.0.1", noDelay: true, onread });
    try {
      await once(socket, "connect");
    } catch (cause) {
      throw new MillraceError("BROKER_UNREACHABLE", `cannot connect to 127.0.0.1:${to.port}`, { cause });
    }
    const connection = new Connection(socket, reader);
    receive = connection.#receive;
    await connection.#request(encodeConnect(to.clientId, to.version ?? 4, to.keepAlive), TYPE.CONNACK);
    return connection;
  }

  async subscribe(filter: string, qos: 0 | 1): Promise<void> {
    await this.#request(encodeSubscribe(filter, qos), TYPE.SUBACK);
  }

  /** Reads nothing any more until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  async #request(bytes: Buffer, answer: number): Promise<void> {
    const code = await new Promise<number>((resolve) => {
      this.#replies.set(answer, resolve);
      this.write(bytes);
    });
    this.#replies.delete(answer);
    if (code > 2) throw new Error(`the broker answered packet type ${answer} with code ${code}`);
  }
}
