import { openRecording } from "../core/recording-file.ts";
import { Stretch } from "../core/stretch.ts";
import type { TestMessage } from "./testing-event.ts";

/** A message as `millrace record` saved it; `send` of the harness takes it as it is. */
export interface RecordedTestMessage extends TestMessage {
  /** Its place in the journal that it was recorded from. */
  readonly seq: number;
  readonly payload: Uint8Array;
  readonly time: number;
  readonly source: string;
}

export interface ReadRecordingOptions {
  /** Only messages whose topic matches this MQTT topic filter. */
  readonly topic?: string;
}

/**
 * The messages of a recording, in order, read as they are asked for:
 * `for await (const message of readRecording("morning.jsonl")) await harness.send(message);`
 * @throws MillraceError FILE_UNREADABLE, RECORDING_INVALID naming file and line, TOPIC_FILTER_INVALID
 */
export async function* readRecording(path: string, options: ReadRecordingOptions = {}): AsyncGenerator<RecordedTestMessage, void, void> {
  const stretch = new Stretch(options);
  const recording = await openRecording(path);
  try {
    for await (const message of recording.messages()) {
      if (stretch.place(message) !== "wanted") continue;
      const { hops: _hops, ...known } = message;
      yield known;
    }
  } finally {
    recording.close();
  }
}
