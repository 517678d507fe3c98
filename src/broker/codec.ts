import { createRequire } from "node:module";

/** How the protocol engine's store writes values. */
interface Codec {
  encode(value: object): Buffer;
  decode(bytes: Buffer): unknown;
}

export const codec = createRequire(import.meta.resolve("aedes-persistence-level/asyncPersistence.js"))("msgpack-lite") as Codec;
