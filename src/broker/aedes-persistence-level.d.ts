/** The part of the package that the broker uses; it ships no types of its own. */
declare module "aedes-persistence-level/asyncPersistence.js" {
  import type { Readable } from "node:stream";
  import type { Aedes, Client } from "aedes";
  import type { ClassicLevel } from "classic-level";

  interface PacketReference {
    readonly cmd?: string;
    readonly messageId?: number;
    readonly brokerId?: string;
  }

  export default class AsyncLevelPersistence {
    constructor(database: ClassicLevel<string, Buffer>);
    setup(broker: Aedes): Promise<void>;
    destroy(): Promise<void>;
    addSubscriptions(client: Client, subscriptions: readonly object[]): Promise<void>;
    removeSubscriptions(client: Client, topics: readonly string[]): Promise<void>;
    subscriptionsByClient(client: { readonly id: string }): Promise<readonly object[]>;
    cleanSubscriptions(client: Client): Promise<void>;
    subscriptionsByTopic(topic: string): Promise<object[]>;
    createRetainedStreamCombi(patterns: readonly string[]): Readable;
    outgoingStream(client: Client): Readable;
    putWill(client: Client, will: object): Promise<void>;
    delWill(client: { readonly id: string }): Promise<object | undefined>;
    streamWill(brokers: object): Readable;
    outgoingEnqueueCombi(subscriptions: readonly object[], packet: object): Promise<void>;
    outgoingEnqueue(subscription: { readonly clientId: string }, packet: object): Promise<void>;
    outgoingUpdate(client: Client, packet: PacketReference): Promise<void>;
    storeRetained(packet: object): Promise<void>;
    outgoingClearMessageId(client: Client, packet: PacketReference): Promise<object | undefined>;
    incomingGetPacket(client: Client, packet: PacketReference): Promise<object>;
    incomingStorePacket(client: Client, packet: PacketReference): Promise<void>;
    cleanIncoming(client: { readonly id: string }): Promise<void>;
    incomingDelPacket(client: Client, packet: PacketReference): Promise<void>;
  }
}
