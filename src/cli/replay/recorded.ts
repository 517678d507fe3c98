import { openRecording, type RecordingFile } from "../../core/recording-file.ts";
import type { RecordedMessage } from "../../core/recording.ts";
import { parsePosition, Stretch } from "../../core/stretch.ts";
import { GatewayClient } from "../client/gateway-client.ts";
import { journalStretch, type StretchFlags } from "../record/stretch.ts";

/** A page of what is replayed has so many messages and, but for a single one, about so many bytes. */
const PAGE_MESSAGES = 200;
const PAGE_BYTES = 1024 * 1024;

/** Recorded messages, wherever they come from. */
export interface Recorded {
  /** For a person: the file, or the journal. */
  readonly title: string;
  /** Id of the gateway that they come from. */
  readonly gateway: string;
  /** Share that has been read, 0 to 1, where that is known. */
  progress(): number | undefined;
  /** Those that were asked for, in order. Can be walked once. */
  messages(): AsyncGenerator<RecordedMessage, void, void>;
  close(): void;
}

/** @throws MillraceError FILE_UNREADABLE, RECORDING_INVALID; `messages` throws the same */
export async function fromFile(path: string, flags: StretchFlags): Promise<Recorded> {
  const recording = await openRecording(path);
  return {
    title: path,
    gateway: recording.header.gateway,
    progress: () => recording.progress(),
    messages: () => wanted(recording, flags),
    close: () => recording.close(),
  };
}

async function* wanted(recording: RecordingFile, { from, to, topic, limit }: StretchFlags): AsyncGenerator<RecordedMessage, void, void> {
  const now = Date.now();
  const position = (text: string | undefined): ReturnType<typeof parsePosition> =>
    text === undefined ? undefined : parsePosition(text, now);
  const stretch = new Stretch({ from: position(from), to: position(to), topic });
  let left = limit ?? Number.POSITIVE_INFINITY;
  for await (const message of recording.messages()) {
    const place = stretch.place(message);
    if (place === "over") return;
    if (place === "skipped") continue;
    yield message;
    if (--left <= 0) return;
  }
}

/** @throws MillraceError GATEWAY_UNREACHABLE; `messages` throws the same */
export async function fromJournal(
  address: string,
  flags: StretchFlags,
  context: { readonly signal: AbortSignal; stderr(text: string): void },
): Promise<Recorded> {
  const client = new GatewayClient(address, context.signal);
  const { gateway, journal } = await client.stats();
  return {
    title: `the journal of ${gateway}`,
    gateway,
    progress: () => undefined,
    messages: async function* () {
      for await (const { messages, oldest } of journalStretch(client, flags, false)) {
        if (oldest !== undefined) context.stderr(`the messages before seq ${oldest} are no longer there\n`);
        for (const message of messages) {
          // What comes in from now on may be what this very replay hands in.
          if (message.seq > journal.seq) return;
          yield message;
        }
      }
    },
    close: () => undefined,
  };
}

/** The same messages in pages, and with each page whether it is the last. */
export async function* pagesOf(messages: AsyncIterable<RecordedMessage>): AsyncGenerator<RecordedMessage[], void, void> {
  let page: RecordedMessage[] = [];
  let bytes = 0;
  for await (const message of messages) {
    page.push(message);
    bytes += message.payload.length;
    if (page.length < PAGE_MESSAGES && bytes < PAGE_BYTES) continue;
    yield page;
    [page, bytes] = [[], 0];
  }
  if (page.length > 0) yield page;
}
