import { keyOfFilter } from "./filters.ts";

/**
 * Makes the protocol engine take every filter of a SUBSCRIBE as it was sent: one code in the SUBACK for each, in their order [MQTT-3.9.3-1], also
 * when one comes twice [MQTT-3.8.4-5]. The engine collects them in an object by name, which puts numbers first, and loses what is called
 * `__proto__` and gets the prototype's members instead. Shared subscriptions have their keys.
 */
export function allAsSent(packet: object): void {
  const sent = Reflect.get(packet, "subscriptions") as readonly { readonly topic: string }[];
  const subscriptions = sent.map((subscription) => ({ ...subscription, topic: keyOfFilter(subscription.topic) }));
  Object.defineProperty(packet, "subscriptions", {
    get: () => subscriptions,
    set: () => {}, // What the engine collected.
  });
}

/** The same for the filters of an UNSUBSCRIBE. */
export function nameGroups(packet: object): void {
  const sent = Reflect.get(packet, "unsubscriptions") as readonly string[];
  Reflect.set(packet, "unsubscriptions", sent.map(keyOfFilter));
}
