import type { RecordedMessage } from "./recording.ts";

/** User properties of a message that is handed in again. */
const REPLAY_PROPERTY = "millrace-replay";
const TIME_PROPERTY = "millrace-time";

/** The message with two user properties more: the id that it had, `GATEWAY:SEQ`, and the time at which it arrived then, in RFC 3339. */
export function markReplayed(message: RecordedMessage, gateway: string): RecordedMessage {
  const { seq, time, properties: given = {} } = message;
  const marks = { [REPLAY_PROPERTY]: `${gateway}:${seq}`, [TIME_PROPERTY]: new Date(time).toISOString() };
  return { ...message, properties: { ...given, user: { ...given.user, ...marks } } };
}
