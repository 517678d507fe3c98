import type { Client } from "aedes";
import { REASON } from "./reasons.ts";

/** What a person reads, where nothing more is known than the code. */
const TEXTS = new Map<number, string>([
  [REASON.protocolError, "it has sent something that MQTT does not allow"],
  [REASON.serverShuttingDown, "the broker is being stopped"],
  [REASON.keepAliveTimeout, "nothing has come from it for one and a half times its keep alive"],
  [REASON.sessionTakenOver, "a connection with the same client id has taken its place"],
  [REASON.topicAliasInvalid, "it has used a topic alias that it may not use, or that stands for nothing"],
  [REASON.packetTooLarge, "it has sent a packet that is larger than the broker takes"],
  [REASON.administrativeAction, "it was disconnected by an operator"],
]);

interface Options {
  readonly reasonCode?: number;
  readonly properties?: { readonly reasonString?: string };
}

/** What is used of the protocol engine's client beside its public members. */
interface EndingClient extends Client {
  readonly _requestProblemInformation: boolean;
}

type Disconnect = (options: Options, done?: () => void) => void;

/**
 * Tells a client of version 5 in words why it is disconnected (MQTT 5, 3.14.2.2.3), also by the protocol engine, which gives a code only. One that has
 * asked for no problem information gets the code alone, though it may be told there [MQTT-3.1.2-29]. Paho for Python looks at a code only when there is
 * something behind it. In its handshake, which may go on for some turns after CONNACK, the engine would close the connection without a word.
 */
export function sayWhy(connected: Client): void {
  const client = connected as EndingClient;
  const disconnect = client.disconnect.bind(client) as Disconnect;
  const saying: Disconnect = ({ reasonCode = 0, properties }, done) => {
    const { reasonString = TEXTS.get(reasonCode), ...others } = properties ?? {};
    const { _requestProblemInformation: isWanted, version } = client;
    const said = reasonString === undefined || !isWanted ? others : { ...others, reasonString };
    const end = (): void => disconnect({ reasonCode, properties: said }, done);
    if (version === 5 && !client.connected && !client.closed) onceConnected(client, end);
    else end();
  };
  Reflect.set(client, "disconnect", saying);
}

/** Calls `then` when the client's handshake is over, or its connection is gone. */
function onceConnected(client: Client, then: () => void): void {
  const once = (): void => {
    client.removeListener("connected", once);
    client.conn.removeListener("close", once);
    then();
  };
  client.once("connected", once);
  client.conn.once("close", once);
}
