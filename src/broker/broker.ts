import type { EventEmitter } from "node:events";
import type { Client, PublishPacket } from "aedes";
import { messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import { guardGate, publishVerdict } from "./access/gate.ts";
import type { Arrival } from "./arrival.ts";
import { type BrokerOptions, engineOptions, listenersOf } from "./broker-options.ts";
import { ClientList } from "./client-list.ts";
import type { ListenerStats } from "../core/listener-stats.ts";
import type { StoredStats } from "../core/stored-stats.ts";
import { Copies } from "./copies.ts";
import { sayWhy } from "./disconnects.ts";
import { TopicEmitter } from "./emitter.ts";
import { installPacketDecoder } from "./decode.ts";
import { isDirect, publishDirectly } from "./direct-publish.ts";
import { installPacketEncoder } from "./encode.ts";
import { Engine } from "./engine.ts";
import { forwardTogether } from "./forward.ts";
import { noteConnect, refuseQuota } from "./handshake.ts";
import { type IncomingParts, readInOrder } from "./incoming.ts";
import { type Done, type Entry, entryOf, type Intake, payloadProblem, propertiesProblem } from "./intake.ts";
import { KnownTopics } from "./known-topics.ts";
import type { Accept } from "./listeners/listener.ts";
import type { Listeners } from "./listeners/listeners.ts";
import { OpenMessages } from "./open-messages.ts";
import { holdWrites } from "./outgoing.ts";
import { DUPLICATE, dropForeign, messageOfPacket, packetOfRecord, setOrigin } from "./packet.ts";
import { REASON } from "./reasons.ts";
import { Room } from "./room.ts";
import { SessionEnds } from "./session-ends.ts";
import { SessionStore } from "./session-store.ts";
import { TopicTexts } from "./topic-texts.ts";
import { Turn } from "./turn.ts";
import { WillPublisher } from "./wills/will-outlet.ts";

/** A PUBLISH that is to be acknowledged. */
interface Sent {
  readonly client: Client;
  readonly packet: PublishPacket;
  readonly id: number;
}

interface Parts {
  readonly aedes: Engine;
  readonly emitter: TopicEmitter;
  readonly store: SessionStore;
  readonly open: OpenMessages;
  readonly ends: SessionEnds;
  readonly intake: Intake;
}

/** The MQTT broker of a gateway: mqtt 3.1, 3.1.1 and 5. A message that wakes a function is journaled before it is acknowledged. */
export class Broker implements AsyncDisposable {
  readonly close: () => Promise<void>;
  /** Resolves when it is closed, rejects when the disk refuses a session's write. */
  readonly stopped: Promise<void>;
  readonly #aedes: Engine;
  readonly #store: SessionStore;
  readonly #listeners: Listeners;
  /** By the stream of the client. */
  readonly #arrivals = new WeakMap<object, Arrival>();
  /** Who is connected. */
  readonly connections: ClientList;
  readonly counters = { received: 0, delivered: 0, refused: 0, willsRefused: 0 };
  readonly #topics = new KnownTopics();
  /** Of what functions publish. */
  readonly #texts = new TopicTexts();
  readonly #room: Room;
  readonly #open: OpenMessages;
  readonly #wills: WillPublisher;
  readonly #copies: Copies;
  readonly #ends: SessionEnds;

  private constructor(parts: Parts, options: BrokerOptions, logger: Logger) {
    const { aedes, emitter, store, open, ends, intake } = parts;
    this.#ends = ends;
    this.#aedes = aedes;
    this.#store = store;
    this.#open = open;
    this.#room = new Room(options.inflightBytesMax);
    this.#wills = new WillPublisher({
      access: options.access,
      intake,
      payloadBytesMax: options.payloadBytesMax,
      counters: this.counters,
      engine: aedes,
      isBroken: () => store.isBroken,
      logger,
    });
    this.#copies = new Copies(store, (packet) => aedes.number(packet));
    const turn = new Turn();
    const direct: IncomingParts["publish"] = {
      isDirect,
      directly: (client, packet, done) => publishDirectly(aedes, client, packet as PublishPacket, done),
    };
    const accept: Accept = (stream, arrival) => {
      this.#arrivals.set(stream, arrival);
      holdWrites(stream, turn);
      const client = aedes.handle(stream);
      sayWhy(client);
      readInOrder(client, { messagesMax: options.inflightMax, room: this.#room, turn, publish: direct });
      forwardTogether(client, {
        queueOf: (connected) => store.queueOf(connected),
        emitter,
        // While the broker closes, all of them go.
        dropped: (id, messages) => store.drops.count("slow-subscribers", { client: id }, messages),
        redeliver: (packet) => (aedes.closed ? undefined : void store.shared.redeliver(packet)),
      });
    };
    this.#listeners = listenersOf(options, accept, logger);
    this.connections = new ClientList({
      clients: () => Reflect.get(aedes, "clients") as Record<string, Client>,
      hasSession: (client) => ends.has(client),
      ownerOf: (client) => ends.ownerOf(client),
      away: () => ends.sessionsAway(),
      endSession: (client) => aedes.endSession(client),
      queued: (client) => store.queued(client),
      note: (command, { client, user }) => options.access.noteCommand(`clients ${command}`, { client, user }),
    });
    const end = Promise.withResolvers<void>();
    this.close = once(async () => {
      const closed = this.#listeners.close();
      await new Promise<void>((resolve) => aedes.close(resolve));
      this.#listeners.cut();
      await closed;
      await ends.close();
      await store.close();
      end.resolve();
    });
    this.stopped = Promise.race([store.failed, end.promise]);
    this.stopped.catch(() => undefined); // Whoever waits for it sees the rejection; it must not end the process before that.
  }

  /** The broker takes no clients before `listen`. @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL */
  static async create(options: BrokerOptions, intake: Intake, logger: Logger): Promise<Broker> {
    const store = await SessionStore.open(options, intake.ledger, logger);
    installPacketEncoder();
    installPacketDecoder();
    const emitter = new TopicEmitter(store.shared);
    const aedes = new Engine(engineOptions(options), { emitter, store });
    const clear = async (client: string): Promise<void> => {
      await Promise.all([intake.ledger.clear(client), store.clear(client)]);
    };
    const has = (client: string): boolean => ends.has(client) || store.has(client);
    const open = new OpenMessages({ clear, has, wills: store.wills }, options, logger);
    const ended = (client: string): void => store.drops.count("sessions", { client });
    const ends = new SessionEnds(store, { limits: options.sessions, isComing: (client) => open.isComing(client), ended }, logger);
    const broker = new Broker({ aedes, emitter, store, open, ends, intake }, options, logger);
    broker.#guard(options, intake, logger);
    await aedes.listen();
    await broker.#ends.follow(aedes, Date.now());
    // A kill in the middle of the end of a session leaves the rest of its queue.
    for (const client of store.queues) if (!has(client)) open.end(client);
    return broker;
  }

  /** @throws MillraceError FILE_UNREADABLE, CERTIFICATE_INVALID, PORT_IN_USE, LISTEN_FAILED */
  async listen(): Promise<void> {
    // What clients do from now on comes behind the wills that are due.
    this.#store.wills.begin(this.#wills);
    await this.#listeners.listen();
  }

  /** Looks at the certificates of all listeners. */
  reload(): void {
    this.#listeners.reload();
  }

  /** Of the listener "default". */
  get address(): string {
    return this.#listeners.address;
  }

  get listeners(): readonly ListenerStats[] {
    return this.#listeners.stats;
  }

  /** What is kept for sessions. */
  get stored(): StoredStats {
    return { sessionsAway: this.#ends.away, ...this.#store.stats };
  }

  get clients(): number {
    return this.#aedes.connectedClients;
  }

  /** What clients have sent and the broker is not done with, and how often one was not read any further because that was too much. */
  get inflight(): { readonly bytes: number; readonly waits: number } {
    const { bytes, waits } = this.#room;
    return { bytes, waits };
  }

  /**
   * Hands records to local subscribers; `done` is called when the sessions of all of them have every record, and not at all otherwise. What
   * sessions have got may still be lost by a power cut, see `secured`.
   */
  deliver(records: readonly Uint8Array[], done: () => void): void {
    let left = records.length;
    for (const record of records) {
      const packet = packetOfRecord(record, this.#texts);
      this.#aedes.publish(packet, (error) => {
        // A broker that is closing refuses, and one whose disk is full only seems to take it; the record is kept and delivered after the next start.
        if (error instanceof Error || this.#store.isBroken) return;
        this.counters.delivered++;
        if (--left === 0) done();
      });
    }
  }

  /** Calls `done` when what sessions have got so far is on disk: at once when they have got nothing, not at all when the disk refuses. */
  secured(done: () => void): void {
    this.#store.secureLater(done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #guard(options: BrokerOptions, intake: Intake, logger: Logger): void {
    const aedes = this.#aedes;
    const admitted = new Set<Client>();
    aedes.preConnect = (client, packet, callback) => {
      noteConnect(client, packet);
      const full = admitted.size >= options.clientsMax;
      if (full) {
        this.counters.refused++;
        refuseQuota(client, packet);
      } else {
        admitted.add(client);
        client.conn.once("close", () => admitted.delete(client));
      }
      callback(full ? new Error(`more than ${options.clientsMax} clients`) : null, !full);
    };
    guardGate(aedes, {
      access: options.access,
      arrivalOf: ({ conn }) => this.#arrivals.get(conn),
      ownerOf: (client) => this.#ends.ownerOf(client),
      begin: (client) => this.#open.begin(client),
      grant: (subscription) => this.#store.grant(subscription),
      forget: (client, filter) => this.#store.refuse(client, filter),
    });
    aedes.authorizePublish = (client, packet, callback) =>
      client === null ? callback(new Error("nobody has sent it")) : this.#take(client, packet, { intake, options, callback });
    for (const event of ["clientError", "connectionError"] as const) {
      aedes.on(event, (client, error) => {
        this.counters.refused++;
        const { listener, address } = this.#arrivals.get(client.conn) ?? {};
        logger.debug({ client: client.id, listener, address, error: messageOf(error) }, "a client failed");
      });
    }
    aedes.on("keepaliveTimeout", (client) => client.disconnect({ reasonCode: REASON.keepAliveTimeout })); // [MQTT-3.1.2-22]
    this.#open.follow(aedes);
    const engine: EventEmitter = aedes; // Its types do not name this event.
    engine.on("error", (error) => logger.error({ error: messageOf(error) }, "the session store could not be read or written"));
  }

  /** Runs before a PUBLISH is acknowledged, and again when a QoS 2 one is sent again. */
  #take(
    client: Client,
    packet: PublishPacket,
    to: { intake: Intake; options: BrokerOptions; callback: (error?: Error | null) => void },
  ): void {
    const { intake, options, callback } = to;
    const ending = packet.messageId === undefined ? undefined : this.#open.ending(client.id);
    if (ending !== undefined) {
      const go = (): void => (client.closed ? undefined : this.#take(client, packet, to));
      ending.then(go, () => client.close());
      return;
    }
    const problem = this.#topics.problem(packet.topic) ?? payloadProblem(packet, options.payloadBytesMax);
    if (problem !== undefined && client.version !== 5 && packet.topic.startsWith("$")) {
      // It would come back with the same message each time; the standard allows to acknowledge what is not taken [MQTT-3.3.5-2].
      this.counters.refused++;
      Object.defineProperty(packet, DUPLICATE, { value: true });
      callback();
      return;
    }
    if (problem !== undefined) {
      callback(new Error(`topic "${packet.topic.slice(0, 100)}": ${problem}`));
      return;
    }
    const denied = publishVerdict(options.access, client, packet);
    if (denied !== undefined) {
      if (denied === null) this.counters.refused++;
      callback(denied);
      return;
    }
    this.counters.received++;
    dropForeign(packet);
    const wake = intake.matches(packet.topic);
    const sent = packet.messageId === undefined || packet.qos === 0 ? undefined : { client, packet, id: packet.messageId };
    if (sent !== undefined && this.#store.hasNoLocal) setOrigin(packet, sent.client.id);
    if (wake === "none" && (sent === undefined || (packet.qos === 1 && !this.#copies.wanted(packet)))) {
      callback();
      return;
    }
    const message = wake === "none" ? undefined : messageOfPacket(client.id, packet);
    const unfit = message === undefined ? undefined : propertiesProblem(message);
    if (unfit !== undefined) {
      callback(new Error(`topic "${packet.topic.slice(0, 100)}": ${unfit}`));
      return;
    }
    const done: Done = (error, duplicate) => {
      if (error !== undefined) {
        // No acknowledgement, not even a bad one, which the engine would still send: the client keeps the message and sends it again.
        client.close();
        return;
      }
      if (duplicate === true) Object.defineProperty(packet, DUPLICATE, { value: true });
      else if (sent !== undefined && packet.qos === 1 && !sent.client.connecting && !sent.client.connected) {
        // The engine publishes nothing whose PUBACK it cannot send. This is taken all the same, and sessions have copies that are due now.
        this.#aedes.publish(packet, client);
        return;
      }
      callback(error);
    };
    const entry = message === undefined ? undefined : entryOf(message, wake === "volatile");
    if (sent === undefined) {
      if (entry !== undefined) intake.append(entry, done);
    } else if (packet.qos === 2) this.#takeOnce(sent, { intake, entry }, done);
    else if (entry === undefined) this.#copies.make(packet, done);
    else {
      const append = (taken: Done): void => intake.append(entry, (error) => this.#copy(packet, error, taken));
      this.#open.resends.take(sent, append, done);
    }
  }

  /** A message is acknowledged when it is in the journal, if it belongs there, and copies of it are with those who want them. */
  #takeOnce(sent: Sent, to: { intake: Intake; entry: Entry | undefined }, done: Done): void {
    const { client, packet, id } = sent;
    const { intake, entry } = to;
    this.#open.receives.take(
      { client: client.id, id, packet },
      (receive, taken) => {
        if (entry === undefined) {
          this.#store.incomingGetPacket(client, packet).then(
            () => taken(undefined, true),
            () => {
              receive.state = "new";
              this.#copy(packet, undefined, taken);
            },
          );
          return;
        }
        intake.appendOnce(client.id, id, entry, (error, duplicate) => {
          if (duplicate === true) return taken(error, true);
          receive.state = "journaled";
          this.#copy(packet, error, (failed) => {
            if (failed !== undefined) intake.ledger.doubt(client.id, id);
            taken(failed);
          });
        });
      },
      done,
    );
  }

  /** Makes the copies of a message that could be taken, if anybody wants them. */
  #copy(packet: PublishPacket, error: Error | undefined, done: Done): void {
    if (error === undefined && this.#copies.wanted(packet)) this.#copies.make(packet, done);
    else done(error);
  }
}
