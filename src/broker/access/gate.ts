import type { Aedes, Client, PublishPacket } from "aedes";
import type { Arrival } from "../arrival.ts";
import { asError } from "../copies.ts";
import type { Access } from "./access.ts";

interface Parts {
  readonly access: Access;
  readonly arrivalOf: (client: Client) => Arrival | undefined;
  /** The user that a stored session belongs to. */
  readonly ownerOf: (client: string) => string | undefined;
  /** Resolves when a client that may come in can have its session. */
  readonly begin: (client: Client) => Promise<void>;
  /** The subscription may be stored. */
  readonly grant: (subscription: object) => void;
  /** Takes a filter out of what is stored of a client's session. */
  readonly forget: (client: Client, filter: string) => Promise<void>;
}

/** A connection of which nothing is known may do nothing. */
const NOWHERE: Arrival = { listener: "unknown", anonymous: false, address: "unknown", isLocal: false };

/** Puts the hooks of the protocol engine in place that ask who comes in, and who may subscribe. */
export function guardGate(aedes: Aedes, { access, arrivalOf, ownerOf, begin, grant, forget }: Parts): void {
  aedes.authenticate = (client, user, password, callback) => {
    const arrival = arrivalOf(client) ?? NOWHERE;
    const admit = async (): Promise<void> => {
      await access.admit(client, arrival, { user: user ?? undefined, password: password ?? undefined }, ownerOf);
      await begin(client);
    };
    const refuse = (error: Error): void => {
      access.logRefused(client, arrival, user ?? undefined, error);
      access.refuse(client, error, callback);
    };
    admit().then(
      () => callback(null, true),
      (error: unknown) => refuse(asError(error)),
    );
  };
  aedes.authorizeSubscribe = (client, sub, callback) => {
    // A stored session with this filter could not be given back: the engine collects the filters of a session in an object by name.
    if (sub.topic !== "__proto__" && access.maySubscribe(client, sub.topic)) {
      grant(sub);
      return callback(null, sub);
    }
    if (client.clean) return callback(null, null);
    // It may be one that the session was allowed before.
    forget(client, sub.topic).then(() => callback(null, null), callback);
  };
}

/**
 * What the engine is to be told of a PUBLISH that the client may not send; undefined when it may. Before version 5 an error is the end of the connection
 * [MQTT-3.3.5-2]; what nobody waits for an acknowledgement of just goes no further.
 */
export function publishVerdict(access: Access, client: Client, packet: PublishPacket): Error | null | undefined {
  const problem = access.publishProblem(client, packet);
  if (problem === undefined) return undefined;
  const ends = client.closed || client.version === 5 || packet.qos !== 0;
  if (ends) return new Error(`topic "${packet.topic.slice(0, 100)}": ${problem}`);
  Reflect.set(packet, "_notAuthorized", true);
  return null;
}
