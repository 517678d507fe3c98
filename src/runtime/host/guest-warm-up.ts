import { u16, u32, u48 } from "./guest-codec.ts";
import { type Context, permittedTopics } from "./guest-context.ts";
import type { GuestEvent } from "./guest-event.ts";
import { createGuest } from "./guest.ts";
import type { GuestOptions } from "./guest-types.ts";

const OPTIONS: GuestOptions = {
  name: "",
  version: 0,
  gateway: "",
  env: {},
  triggers: [{ kind: "mqtt", names: [["a", 0]] }],
  publish: ["#"],
  emit: ["*"],
  batch: false,
  strict: true,
  wallMs: 1_000,
  outputBytes: 1_000,
  stateValueBytes: 1_000,
  fetchBytes: 1_000,
  secrets: [],
  shared: true,
  stateVersion: 1,
};

function nothing(): void {}

function handleAny(event: GuestEvent, ctx: Context): void {
  ctx.publish(`${event.params["a"] ?? ""}/b`, event.data);
  ctx.emit("a", { seq: event.seq });
}

/**
 * Handles a message of no function, which makes V8 compile what every first message needs. It takes longer than everything that is left to
 * do then when a function is started. Leaves nothing behind. @returns whether the message was handled
 */
export async function warmUp(): Promise<boolean> {
  const host = { loadState: nothing, wakeIn: nothing, call: nothing, callOff: nothing };
  const guest = createGuest({ default: { handler: handleAny } }, OPTIONS, host);
  const topic = "a";
  const record = `\x01\0${u48(0)}${u16(topic.length)}${topic}${u16(0)}{"a":1}`;
  guest.start(`\0\x01\0${u48(1)}${u16(0)}${u32(record.length)}${record}`);
  const results = await guest.finish();
  permittedTopics.clear();
  return guest.take() === results && results.startsWith("\0");
}
