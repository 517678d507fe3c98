import type { LogQuery } from "../core/logs.ts";
import { LOG_LEVELS, type LogRecord } from "../core/stats.ts";

/** A record as it is kept: its fields are the JSON text that came from the function, an object. */
export interface LogEntry extends Omit<LogRecord, "fields"> {
  readonly fields?: string;
}

/** Whether a query asks for an entry. */
export function logFilter(query: LogQuery): (entry: LogEntry) => boolean {
  const { function: name, version, invocation, trace, since = 0, until = Infinity } = query;
  const least = LOG_LEVELS.indexOf(query.level);
  const text = query.text?.toLowerCase();
  const tries = `${invocation}.`;
  return (entry) => {
    if (LOG_LEVELS.indexOf(entry.level) < least || entry.time < since || entry.time > until) return false;
    if (name !== undefined && entry.function !== name) return false;
    if (version !== undefined && entry.version !== version) return false;
    if (trace !== undefined && entry.trace !== trace) return false;
    if (invocation !== undefined && entry.invocation !== invocation && entry.invocation?.startsWith(tries) !== true) return false;
    if (text === undefined || entry.message.toLowerCase().includes(text)) return true;
    return entry.fields?.toLowerCase().includes(text) === true;
  };
}

export function toRecord({ fields, ...entry }: LogEntry): LogRecord {
  return fields === undefined ? entry : { ...entry, fields: JSON.parse(fields) as Record<string, unknown> };
}
