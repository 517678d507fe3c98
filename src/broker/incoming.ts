import type { EventEmitter } from "node:events";
import type { Client } from "aedes";
import { Chunks } from "./chunks.ts";
import { forwarderOf } from "./forward.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";
import { PACKET_BYTES, type Room } from "./room.ts";
import { sendPacket } from "./encode.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { REASON } from "./reasons.ts";
import { allAsSent, nameGroups } from "./subscriptions-as-sent.ts";
import type { Turn } from "./turn.ts";
import { malformed, ProtocolError, protocolError } from "./wire-reader.ts";

type Done = (error?: Error) => void;

interface Packet {
  readonly cmd: string;
  readonly topic?: unknown;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly payload?: string | Buffer;
  readonly messageId?: number;
  readonly reasonCode?: number;
  readonly properties?: { readonly sessionExpiryInterval?: number };
}

/** What is used of the protocol engine's client beside its public members. */
interface ReadingClient extends Client {
  readonly _parser: EventEmitter & { parse(chunk: Buffer): number };
  readonly connackSent: boolean;
  resume(): void;
  waitForDrain(done: () => void): void;
  /** Seconds. */
  readonly _connectSessionExpiryInterval?: number;
  /** Set while a CONNECT is being authenticated. */
  readonly _paused?: boolean;
  /** A packet was too large, and the connection is about to be closed. */
  readonly _rejectingPacketTooLarge: boolean;
  /** Packets that the engine has taken from what was read last; it takes a CONNECT only as the first of them. */
  readonly _parsingBatch: number;
  /** The engine's own way of reading, which is also what a packet is to call when it is done. */
  readonly _nextBatch: Done;
}

export interface IncomingParts {
  readonly messagesMax: number;
  readonly room: Room;
  readonly turn: Turn;
  /** Takes a PUBLISH past the engine, if it is one that may go there. */
  readonly publish: { isDirect(packet: Packet): boolean; directly(client: Client, packet: Packet, done: Done): void };
}

/** Packets without a message of QoS 1 or 2 that may be under way before no more is read. */
const OTHERS_MAX = 100;

/** The return codes of a CONNACK before version 5 [MQTT-3.1.2-2], MQTT 3.1, 3.2; nothing else of this is answered there. */
const RETURN_CODES = new Map<number, number>([
  [REASON.unsupportedVersion, 1],
  [REASON.clientIdentifierNotValid, 2],
]);

/** What a client may send at any time and what never has to wait for a message: its answers, and the question whether anybody is there. */
const ANSWERS = new Set(["puback", "pubrec", "pubcomp", "pingreq"]);

/** What it answers to messages. */
const ACKNOWLEDGEMENTS = new Set(["puback", "pubrec", "pubcomp"]);

/**
 * Hands what a client sends to the protocol engine, message by message as long as no more than `messagesMax` of QoS 1 and 2 are under way; what
 * comes on top waits, at most a chunk of the socket, and nothing more is read until one of them is done. The engine reads on with every chunk
 * that arrives, however many messages wait for the disk. Packets that come before the client is connected wait too, so that none overtakes another.
 * A client that has anything under way is not read either while there is no `room` in memory; one that has nothing may go on, packet by packet, so
 * that messages which wait for nothing get through while others wait.
 */
export function readInOrder(connected: object, parts: IncomingParts): void {
  const client = connected as ReadingClient;
  const incoming = new Incoming(client, parts);
  client.resume = () => incoming.resume();
}

class Incoming {
  readonly #client: ReadingClient;
  readonly #parser: ReadingClient["_parser"];
  readonly #messagesMax: number;
  readonly #room: Room;
  readonly #goOn = (): void => this.#advance();
  /** Gives a packet to the engine, which calls `next` when it is done. */
  readonly #hand: (packet: Packet, next: Done) => void;
  readonly #messageDone: Done = (error) => this.#done(error, true, PACKET_BYTES);
  readonly #otherDone: Done = (error) => this.#done(error, false, PACKET_BYTES);
  #state: "new" | "connecting" | "ready" | "refused" = "new";
  readonly #window: ReceiveWindow;
  #messages = 0;
  #others = 0;
  /** Of both, those that are to be retained. */
  #retained = 0;
  /** What it has taken of the room. */
  #bytes = 0;
  #held: Packet[] = [];
  /** How many of `held` have been handed over. */
  #heldDone = 0;
  #heldMessages = 0;
  readonly #chunks: Chunks;
  #isAdvancing = false;
  readonly #publish: IncomingParts["publish"];
  /** Of what is under way, the PUBLISH packets that the engine has: none may overtake them. */
  #handed = 0;
  readonly #outgoing: Outgoing | undefined;
  #isDraining = false;

  constructor(client: ReadingClient, { messagesMax, room, turn, publish }: IncomingParts) {
    this.#client = client;
    this.#publish = publish;
    this.#messagesMax = messagesMax;
    this.#window = new ReceiveWindow(messagesMax);
    this.#outgoing = outgoingOf(client.conn);
    this.#room = room;
    const { _parser: parser, _nextBatch: read, conn } = client;
    this.#parser = parser;
    const [hand] = parser.listeners("packet");
    this.#hand = (packet, next) => {
      Reflect.set(client, "_nextBatch", next);
      hand?.call(parser, packet);
    };
    parser.removeAllListeners("packet").on("packet", (packet: Packet) => this.#take(packet));
    parser.removeAllListeners("error").on("error", (error: Error) => this.#refuse(error));
    // A stream that hands on what arrives costs a part of one that has to be asked for it.
    conn.removeListener("readable", read);
    this.#chunks = new Chunks(conn, turn, this.#goOn);
    // The engine calls nothing for some of what is under way then.
    conn.once("close", () => {
      room.leave(this.#goOn);
      room.giveBack(this.#bytes);
      this.#bytes = 0;
    });
  }

  /** The engine calls it when the client has its CONNACK. */
  resume(): void {
    Reflect.set(this.#client, "_paused", false);
    if (this.#state === "connecting" && this.#client.connackSent) this.#state = "ready";
    this.#advance();
  }

  #take(packet: Packet): void {
    if (ACKNOWLEDGEMENTS.has(packet.cmd) && this.#isWrong(packet))
      return this.#refuse(protocolError("the answer is not one to the QoS of its message"));
    // A message that the client refuses is done with [MQTT-4.3.3-4]; the engine says so only of sessions that are stored.
    if (packet.cmd === "pubrec" && (packet.reasonCode ?? 0) >= 0x80) forwarderOf(this.#client)?.acknowledged(packet.messageId ?? 0);
    else if (packet.cmd === "pubrec" && this.#answerUnknown(packet)) return;
    const problem = this.#problem(packet);
    if (problem !== undefined) return this.#refuse(problem);
    const waits = this.#state === "refused" || this.#held.length > 0 || !this.#mayPass(packet);
    const passes = !waits || (this.#client.connackSent && ANSWERS.has(packet.cmd));
    if (passes) this.#pass(packet);
    else this.#hold(packet);
  }

  #isWrong({ cmd, messageId = 0, reasonCode = 0 }: Packet): boolean {
    const forwarder = this.#client.connackSent ? forwarderOf(this.#client) : undefined;
    if (forwarder === undefined) return false;
    if (forwarder.answers.isWrong(cmd, messageId, cmd !== "puback" && forwarder.isOut(messageId))) return true;
    if (cmd === "pubrec" && reasonCode < 0x80 && forwarder.knows(messageId)) forwarder.answers.released(messageId);
    else if (cmd !== "puback") forwarder.answers.done(messageId);
    return false;
  }

  /** A PUBREC for what the client was not sent, or has acknowledged, is answered with that (MQTT 5, 3.6.2.1); before version 5 there is no way to. */
  #answerUnknown({ messageId = 0 }: Packet): boolean {
    const client = this.#client;
    if (client.version !== 5 || !client.connackSent || forwarderOf(client)?.knows(messageId) !== false) return false;
    sendPacket({ cmd: "pubrel", messageId, reasonCode: REASON.packetIdNotFound }, client.conn, 5);
    return true;
  }

  /** What a client may not send at this point. */
  #problem({ cmd, qos, messageId = 0, properties }: Packet): ProtocolError | undefined {
    if (this.#state === "new") return undefined;
    if (cmd === "pubrel") this.#window.release(messageId);
    if (qos === 2 && cmd === "publish" && this.#client.version === 5 && !this.#window.take(messageId)) return this.#tooMany;
    if (cmd === "connect") return protocolError("there is a second CONNECT"); // [MQTT-3.1.0-2]
    if (cmd === "auth") return protocolError("there is an AUTH, and no authentication that asks for it"); // [MQTT-4.12.0-6]
    const { _connectSessionExpiryInterval: seconds } = this.#client;
    if (cmd !== "disconnect" || seconds !== 0) return undefined;
    // MQTT 5, 3.14.2.2.2.
    return (properties?.sessionExpiryInterval ?? 0) > 0
      ? protocolError("a session that ends with its connection is to be kept")
      : undefined;
  }

  #mayPass(packet: Packet): boolean {
    if (this.#state !== "ready") return this.#state === "new";
    // Whoever retains a message and subscribes to it gets it as one that was retained [MQTT-3.3.1-8].
    if (packet.cmd !== "publish") return packet.cmd !== "subscribe" || this.#retained === 0;
    return this.#hasRoom && (!isMessage(packet) || (this.#messages < this.#messagesMax && !this.#mustDrain()));
  }

  /** A client that does not take its acknowledgements gets to send no more messages. */
  #mustDrain(): boolean {
    if (this.#outgoing?.isFull !== true) return false;
    if (!this.#isDraining) {
      this.#isDraining = true;
      this.#client.waitForDrain(() => {
        this.#isDraining = false;
        this.#advance();
      });
    }
    return true;
  }

  #pass(packet: Packet): void {
    if (this.#state === "new") this.#state = "connecting";
    if (packet.cmd === "subscribe") allAsSent(packet);
    else if (packet.cmd === "unsubscribe") nameGroups(packet);
    const message = isMessage(packet);
    const bytes = Math.max(PACKET_BYTES, packet.payload?.length ?? 0);
    if (message) this.#messages++;
    else this.#others++;
    this.#bytes += bytes;
    this.#room.take(bytes);
    const next = this.#nextOf(packet, bytes, message);
    if (packet.cmd === "publish") return this.#passPublish(packet, next);
    this.#hand(packet, next);
  }

  #nextOf(packet: Packet, bytes: number, message: boolean): Done {
    if (packet.retain === true && packet.cmd === "publish") return this.#retain(packet, bytes);
    if (packet.qos === 2 && message) return (error) => this.#doneOnce(packet, error, bytes);
    if (bytes > PACKET_BYTES) return (error) => this.#done(error, message, bytes);
    return message ? this.#messageDone : this.#otherDone;
  }

  #passPublish(packet: Packet, next: Done): void {
    if (this.#handed === 0 && this.#publish.isDirect(packet)) return this.#publish.directly(this.#client, packet, next);
    this.#handed++;
    this.#hand(packet, (error) => {
      this.#handed--;
      next(error);
    });
  }

  #retain(packet: Packet, bytes: number): Done {
    this.#retained++;
    return (error) => {
      this.#retained--;
      this.#doneOnce(packet, error, bytes);
    };
  }

  get #hasRoom(): boolean {
    return !this.#room.isFull || (this.#messages === 0 && this.#others === 0);
  }

  #hold(packet: Packet): void {
    if (this.#state === "refused") return;
    this.#held.push(packet);
    if (isMessage(packet)) this.#heldMessages++;
    // None of these has been answered, so more of them than the client was told it may have is its own fault [MQTT-3.3.4-9].
    if (this.#state === "ready" && this.#client.version === 5 && this.#heldMessages > this.#messagesMax) this.#refuse(this.#tooMany);
  }

  get #tooMany(): ProtocolError {
    return new ProtocolError(REASON.receiveMaximumExceeded, `more than ${this.#messagesMax} messages without an answer`);
  }

  /** Closes the connection, and says why where the version has a way to [MQTT-4.13.1-1]. */
  #refuse(cause: Error): void {
    const client = this.#client;
    const error = cause instanceof ProtocolError ? cause : malformed(cause.message);
    if (this.#state === "refused") return;
    const isNew = this.#state === "new";
    this.#state = "refused";
    this.#held = [];
    if (isNew) return this.#refuseConnect(error);
    if (client.version !== 5) return void client.emit("error", error);
    Reflect.get(client, "broker").emit("clientError", client, error);
    client.disconnect({ reasonCode: error.reasonCode, properties: { reasonString: error.message } });
  }

  #refuseConnect(error: ProtocolError): void {
    const { conn } = this.#client;
    const { reasonCode, version } = error;
    if (version === 5) sendPacket({ cmd: "connack", sessionPresent: false, reasonCode }, conn, 5);
    const returnCode = RETURN_CODES.get(reasonCode);
    if (version !== 5 && returnCode !== undefined) sendPacket({ cmd: "connack", sessionPresent: false, returnCode }, conn, 4);
    this.#client.emit("error", error);
  }

  /** One that was refused is not open any more; the engine says so on the packet. */
  #doneOnce(packet: Packet, error: Error | undefined, bytes: number): void {
    if (packet.qos === 2 && Reflect.get(packet, "_notAuthorized") === true) this.#window.release(packet.messageId ?? 0);
    this.#done(error, isMessage(packet), bytes);
  }

  #done(error: Error | undefined, message: boolean, bytes: number): void {
    if (message) this.#messages--;
    else this.#others--;
    // Not when the client is gone and has given back everything.
    if (this.#bytes >= bytes) {
      this.#bytes -= bytes;
      this.#room.giveBack(bytes);
    }
    if (error instanceof Error) this.#client.emit("error", error);
    else if (this.#chunks.isPaused) this.#advance();
  }

  /** Goes on with what waits here, and then with what waits in the socket. A packet that is done at once does not begin it again. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    this.#release();
    while (this.#mayRead()) {
      const chunk = this.#chunks.next();
      if (chunk === undefined) break;
      if (this.#state === "new") Reflect.set(this.#client, "_parsingBatch", 0);
      this.#parser.parse(chunk);
      this.#release();
    }
    this.#isAdvancing = false;
    const waits = !this.#mayRead();
    this.#chunks.settle(waits);
    if (waits && !this.#hasRoom && !this.#client.closed) this.#room.wait(this.#goOn);
  }

  #release(): void {
    while (this.#heldDone < this.#held.length && !this.#client.closed) {
      const packet = this.#held[this.#heldDone];
      if (packet === undefined || !this.#mayPass(packet)) return;
      this.#heldDone++;
      if (isMessage(packet)) this.#heldMessages--;
      this.#pass(packet);
    }
    this.#held = [];
    this.#heldDone = 0;
  }

  #mayRead(): boolean {
    if (this.#held.length > 0 || this.#others >= OTHERS_MAX || this.#state === "refused" || !this.#hasRoom) return false;
    const { _paused: paused, _rejectingPacketTooLarge: rejecting, closed } = this.#client;
    return paused !== true && !rejecting && !closed;
  }
}

function isMessage({ cmd, qos }: Packet): boolean {
  return cmd === "publish" && qos !== 0;
}
