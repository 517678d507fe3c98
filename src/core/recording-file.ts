import { openInput, unreadable } from "./input-file.ts";
import { invalid, parseHeader, parseLine, type RecordedMessage, type RecordingHeader } from "./recording.ts";

/** A message of the largest size that a broker can be set to (256MB), in base64, and its properties. */
const LINE_BYTES_MAX = 400 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
const NEWLINE = 10;

export interface RecordingFile {
  readonly file: string;
  readonly header: RecordingHeader;
  /** Share of the file that has been read, 0 to 1; undefined when its size is not known, as with a pipe. */
  progress(): number | undefined;
  /** The messages in order, read as they are asked for. Can be walked once. */
  messages(): AsyncGenerator<RecordedMessage, void, void>;
  /** Ends reading; walking to the end does so too. */
  close(): void;
}

/**
 * Opens a file written by `millrace record`. It may be larger than memory.
 * @throws MillraceError FILE_UNREADABLE, RECORDING_INVALID naming file and line; `messages` throws the same.
 */
export async function openRecording(file: string): Promise<RecordingFile> {
  const { handle, bytes } = await openInput(file);
  const stream = handle.createReadStream({ highWaterMark: READ_BYTES });
  const position = { bytes: 0 };
  try {
    const lines = splitLines(file, stream, position);
    const first = await lines.next();
    if (first.done === true) throw invalid(file, "the file is empty; its first line has to be the header of a recording");
    const header = parseHeader(first.value.text, `${file}:${first.value.line}`);
    return {
      file,
      header,
      progress: () => (bytes > 0 ? Math.min(1, position.bytes / bytes) : undefined),
      messages: async function* () {
        for await (const { line, text } of lines) yield parseLine(text, `${file}:${line}`);
      },
      close: () => void stream.destroy(),
    };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

interface Line {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

/** Lines that are not blank. What holds an unfinished one is bounded, whatever the file is. */
async function* splitLines(file: string, stream: AsyncIterable<unknown>, position: { bytes: number }): AsyncGenerator<Line, void, void> {
  let line = 1;
  let pieces: Buffer[] = [];
  let held = 0;
  const take = (last: Buffer): string => Buffer.concat([...pieces, last]).toString("utf8");
  for await (const chunk of chunksOf(file, stream)) {
    position.bytes += chunk.length;
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const text = take(chunk.subarray(from, end));
      [pieces, held, from] = [[], 0, end + 1];
      if (text.trim() !== "") yield { line, text };
      line++;
    }
    pieces.push(chunk.subarray(from));
    held += chunk.length - from;
    if (held > LINE_BYTES_MAX) throw invalid(`${file}:${line}`, `the line is longer than ${LINE_BYTES_MAX} bytes; is this a recording?`);
  }
  const rest = take(Buffer.alloc(0));
  if (rest.trim() !== "") yield { line, text: rest };
}

async function* chunksOf(file: string, stream: AsyncIterable<unknown>): AsyncGenerator<Buffer, void, void> {
  try {
    for await (const chunk of stream) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    throw unreadable(file, error);
  }
}
