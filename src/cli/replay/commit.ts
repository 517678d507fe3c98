import { systemClock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { type RecordedMessage, toLine } from "../../core/recording.ts";
import { markReplayed } from "../../core/replay-mark.ts";
import { handedInSchema } from "../client/replay-schemas.ts";
import { ask, remote } from "../client/http.ts";
import type { CommandContext } from "../command.ts";
import { count } from "../terminal/text.ts";
import { steadyPace } from "./pace.ts";
import type { Recorded } from "./recorded.ts";

/** A page takes about a tenth of a second at the rate, so that the rate is even and a stop is quick. */
const PAGES_PER_SECOND = 10;
const PAGE_MESSAGES_MAX = 200;
const PAGE_BYTES = 1024 * 1024;
/** Told to stop, how long to wait for the answer to the last page. */
const LAST_ANSWER_MS = 700;
const ANSWER_MS_MAX = 60_000;

export interface CommitOptions {
  readonly gateway: string;
  readonly function: string;
  readonly version: number | undefined;
  /** Messages in a second. */
  readonly rate: number;
}

interface Progress {
  handedIn: number;
  /** That the function does not listen to. */
  others: number;
  /** The message to go on with. */
  next: number;
}

type Output = Pick<CommandContext, "stdout" | "signal" | "json">;

/** Hands the messages in as new ones, page by page in order, at no more than the rate. The answer is the exit code. */
export async function commitReplay(output: Output, recorded: Recorded, options: CommitOptions): Promise<number> {
  const { signal } = output;
  const progress: Progress = { handedIn: 0, others: 0, next: 0 };
  const send = sender(recorded.gateway, options, signal);
  try {
    for await (const page of pacedPages(recorded, options.rate, signal)) {
      progress.next = page[0]?.seq ?? progress.next;
      const handedIn = await send(page);
      progress.handedIn += handedIn;
      progress.others += page.length - handedIn;
      progress.next = (page.at(-1)?.seq ?? 0) + 1;
    }
  } catch (error) {
    if (!signal.aborted && error instanceof MillraceError) throw withProgress(error, progress);
    if (!signal.aborted) throw error;
  }
  report(output, recorded.title, options.function, progress);
  return signal.aborted ? 130 : 0;
}

async function* pacedPages(recorded: Recorded, rate: number, signal: AbortSignal): AsyncGenerator<RecordedMessage[], void, void> {
  const pace = steadyPace(rate, systemClock);
  const size = Math.max(1, Math.min(PAGE_MESSAGES_MAX, Math.floor(rate / PAGES_PER_SECOND)));
  let page: RecordedMessage[] = [];
  let bytes = 0;
  for await (const message of recorded.messages()) {
    await pace.wait(message, signal);
    page.push(message);
    bytes += message.payload.length;
    if (page.length < size && bytes < PAGE_BYTES) continue;
    yield page;
    [page, bytes] = [[], 0];
  }
  if (page.length > 0) yield page;
}

/** What hands a page in and answers how many of it the function listens to. A page that is on its way when told to stop is still waited for. */
function sender(
  from: string,
  { gateway, function: name, version }: CommitOptions,
  signal: AbortSignal,
): (page: readonly RecordedMessage[]) => Promise<number> {
  const to = remote(gateway, { flag: "--gateway", what: "a gateway", unreachable: "GATEWAY_UNREACHABLE" });
  const late = new AbortController();
  signal.addEventListener("abort", () => setTimeout(() => late.abort(), LAST_ANSWER_MS).unref(), { once: true });
  return async (page) => {
    signal.throwIfAborted();
    const messages = page.map((message) => toLine(markReplayed(message, from)));
    const answer = await ask(to, {
      path: "/v1/journal",
      schema: handedInSchema,
      signal: late.signal,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ function: name, ...(version === undefined ? {} : { version }), messages }),
      timeoutMs: ANSWER_MS_MAX,
    });
    return answer.handedIn;
  };
}

function withProgress(error: MillraceError, { handedIn, next }: Progress): MillraceError {
  const far = handedIn === 0 ? "nothing is known to have been handed in" : `${handedIn} messages were handed in, --from ${next} goes on`;
  return new MillraceError(error.code, `${error.message}; ${far}`, { cause: error });
}

function report({ json, stdout, signal }: Output, from: string, name: string, { handedIn, others, next }: Progress): void {
  if (json) {
    stdout(`${JSON.stringify({ function: name, handedIn, others, interrupted: signal.aborted, next })}\n`);
    return;
  }
  const stopped = signal.aborted ? `, stopped; --from ${next} goes on` : "";
  const rest = others === 0 ? "" : `, ${count(others)} not for ${name}`;
  stdout(`${handedIn === 1 ? "1 message" : `${count(handedIn)} messages`} of ${from} handed in as new${rest}${stopped}\n`);
}
