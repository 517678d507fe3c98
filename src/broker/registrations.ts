import type { Client } from "aedes";

/** What is used of the protocol engine beside its public members. */
interface Registry {
  readonly clients: Readonly<Record<string, Client>>;
  readonly _takingOver: Set<string>;
  readonly registerClient: (client: Client) => void;
  readonly _finishRegisterClient: (client: Client) => void;
  readonly unregisterClient: (client: Client) => void;
  readonly scheduleSessionExpiry: (client: Client) => void;
}

/**
 * Keeps the engine's list of who is connected as it is: nobody in it who has gone, and one connection for each id [MQTT-3.1.4-3]. The engine registers a client
 * whose connection ended while its session was read from disk, and never lets go of it, nor of its subscriptions; and the late end of a connection that was
 * taken over would take the other one out of the list and end its session. `forget` is called for a client that had gone before it was there.
 */
export function keepRegistrations(engine: object, forget: (client: Client) => void): void {
  const registry = engine as Registry;
  const { _takingOver: takingOver } = registry;
  const registered = new WeakSet<Client>();
  const { registerClient, _finishRegisterClient: finish, unregisterClient, scheduleSessionExpiry } = registry;

  const unregister = (client: Client): void => {
    if (registered.delete(client)) unregisterClient.call(registry, client);
  };
  const schedule = (client: Client): void => {
    const owner = registry.clients[client.id];
    if (owner === undefined || owner === client) scheduleSessionExpiry.call(registry, client);
  };
  const register = (client: Client): void => {
    if (client.closed) leaveAgain(client, forget);
    else registerClient.call(registry, client);
  };
  const finishRegister = (client: Client): void => {
    // The end of whoever was there may not have come to the list yet, and must not find somebody else.
    const before = registry.clients[client.id];
    if (client.closed) {
      takingOver.delete(client.id);
      return schedule(client);
    }
    if (before !== undefined) unregister(before);
    registered.add(client);
    finish.call(registry, client);
  };
  const replaced = {
    registerClient: register,
    _finishRegisterClient: finishRegister,
    unregisterClient: unregister,
    scheduleSessionExpiry: schedule,
  };
  for (const [name, value] of Object.entries(replaced)) Reflect.set(engine, name, value);
}

/** Takes back what was done for a client since its connection ended: its subscriptions, and its will, which is of a connection that never was. */
function leaveAgain(client: Client, forget: (client: Client) => void): void {
  Reflect.set(client, "_disconnected", true);
  Reflect.set(client, "closed", false);
  client.close();
  forget(client);
}
