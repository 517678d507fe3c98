interface Connack {
  readonly cmd: string;
  sessionPresent?: boolean;
  readonly reasonCode?: unknown;
  readonly returnCode?: number;
  readonly properties?: unknown;
}

const RESUMES = Symbol("resumes");

/** The client resumes a session, with or without subscriptions. */
export function noteResumed(client: object): void {
  Reflect.set(client, RESUMES, true);
}

export function isResumed(client: object): boolean {
  return Reflect.get(client, RESUMES) === true;
}

/**
 * Makes the engine's CONNACK say what is so: a session is present when there is one [MQTT-3.2.2-2], where the engine looks for subscriptions; and
 * shared subscriptions are available (MQTT 5, 3.2.2.3.13), which is what it means to say nothing about them.
 */
export function amendConnack(packet: Connack, stream: object): void {
  const { properties } = packet;
  if (typeof properties === "object" && properties !== null) Reflect.deleteProperty(properties, "sharedSubscriptionAvailable");
  const client: unknown = Reflect.get(stream, "client");
  if (typeof client !== "object" || client === null || (packet.reasonCode ?? packet.returnCode ?? 0) !== 0) return;
  // Before 3.1.1 the bit was reserved.
  if (Reflect.get(client, "version") === 3) packet.sessionPresent = false;
  else if (isResumed(client)) packet.sessionPresent = true;
  // Packet ids of a new session begin with the first. Of one that goes on they do not, so that none stands for two messages if the last ones are forgotten.
  if (!isResumed(client)) Reflect.set(client, "_nextId", 1);
}
