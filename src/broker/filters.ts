import { TOPIC_LEVELS_MAX } from "../core/topic.ts";

const SHARE = "$share/";

const TOO_DEEP = `it has more than ${TOPIC_LEVELS_MAX} levels`;

/** A shared subscription (MQTT 5, 4.8.2): `$share/GROUP/FILTER`. */
export interface SharedFilter {
  readonly group: string;
  readonly filter: string;
}

/** Undefined when the filter is not one of a shared subscription. */
export function sharedFilter(text: string): SharedFilter | undefined {
  if (!text.startsWith(SHARE)) return undefined;
  const end = text.indexOf("/", SHARE.length);
  return end < 0 ? { group: text.slice(SHARE.length), filter: "" } : { group: text.slice(SHARE.length, end), filter: text.slice(end + 1) };
}

/** Before the name of the group in what the protocol engine is given for a shared subscription. No client can have U+0000 in a filter [MQTT-1.5.4-2]. */
const SHARE_KEY = "\0share/";
const SHARE_KEY_IN_JSON = JSON.stringify(SHARE_KEY).slice(0, -1);

/** A filter as the protocol engine and the stored sessions have it: the engine would refuse one that begins with `$share/`. */
export function keyOfFilter(text: string): string {
  return text.startsWith(SHARE) ? SHARE_KEY + text.slice(SHARE.length) : text;
}

/** The filter as its client sent it. */
export function filterAsSent(key: string): string {
  return isSharedKey(key) ? SHARE + key.slice(SHARE_KEY.length) : key;
}

/** A text of JSON with the filters in it as clients sent them. */
export function asSentInJson(json: string | Buffer): string | Buffer {
  const text = json.toString();
  return text.includes(SHARE_KEY_IN_JSON) ? Buffer.from(text.replaceAll(SHARE_KEY_IN_JSON, `"${SHARE}`)) : json;
}

export function isSharedKey(key: string): boolean {
  return key.startsWith(SHARE_KEY);
}

/** What messages have to match: of a shared subscription the filter behind the name of its group. */
export function filterOfKey(key: string): string {
  return isSharedKey(key) ? key.slice(key.indexOf("/", SHARE_KEY.length) + 1) : key;
}

/** Whether a filter or topic has more levels than a topic may have. The engine stores one that comes with others before it refuses it, and cannot read it. */
export function isTooDeep(key: string): boolean {
  return key.split("/", TOPIC_LEVELS_MAX + 1).length > TOPIC_LEVELS_MAX;
}

/** Why the text is no topic filter (MQTT 5, 4.7.1 and 4.8.2), or undefined when it is one. */
export function filterProblem(text: string): string | undefined {
  if (isTooDeep(text)) return TOO_DEEP;
  const shared = sharedFilter(text);
  if (shared !== undefined) {
    if (shared.group === "" || /[+#]/.test(shared.group)) return "the name of the group is empty or has a wildcard in it";
    return shared.filter === "" ? "there is no filter behind the name of the group" : filterProblem(shared.filter);
  }
  if (text === "") return "it is empty";
  const levels = text.split("/");
  for (const [index, level] of levels.entries()) {
    if (level.length > 1 && /[+#]/.test(level)) return `level ${index + 1} mixes a wildcard with other text`;
    if (level === "#" && index !== levels.length - 1) return `"#" in level ${index + 1} is not the last level`;
  }
  return undefined;
}

/** Why the text is no name of a topic (MQTT 5, 4.7.1 and 4.7.3), or undefined when it is one. */
export function topicNameProblem(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (/[+#]/.test(text)) return "it has a wildcard in it";
  return isTooDeep(text) ? TOO_DEEP : undefined;
}
