import { MillraceError } from "../../core/errors.ts";
import type { RecordedMessage } from "../../core/recording.ts";
import { parsePosition, POSITION_FORMS } from "../../core/stretch.ts";
import { parseTopicFilter } from "../../core/topic.ts";
import type { GatewayClient } from "../client/gateway-client.ts";

const PAGE_MESSAGES = 500;

export interface StretchFlags {
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly topic: string | undefined;
  readonly limit: number | undefined;
}

/** @throws MillraceError USAGE, TOPIC_FILTER_INVALID */
export function checkStretch({ from, to, topic }: Omit<StretchFlags, "limit">): void {
  for (const [flag, text] of Object.entries({ from, to })) {
    if (text === undefined || parsePosition(text, Date.now()) !== undefined) continue;
    throw new MillraceError("USAGE", `--${flag} "${text}" is not ${POSITION_FORMS}`);
  }
  if (topic !== undefined) parseTopicFilter(topic);
}

export interface StretchPage {
  readonly messages: readonly RecordedMessage[];
  /** The seq behind everything that was looked at so far. */
  readonly next: number;
  /** The messages before this one, which were asked for, are gone. */
  readonly oldest: number | undefined;
}

/**
 * A stretch of a gateway's journal, page by page; the gateway holds one page, and so does the caller. With `follow` it ends with `to` or the
 * client's signal only.
 */
export async function* journalStretch(
  gateway: GatewayClient,
  { from, to, topic, limit }: StretchFlags,
  follow: boolean,
): AsyncGenerator<StretchPage, void, void> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  let at: { from?: string | undefined; start?: number | undefined; to?: string | undefined } = { from, to };
  while (left > 0) {
    const page = await gateway.journal({ ...at, topic, limit: Math.min(left, PAGE_MESSAGES), wait: follow });
    at = page.next;
    left -= page.messages.length;
    yield { messages: page.messages, next: page.next.start, oldest: page.oldest };
    if (page.state === "over" || (page.state === "end" && !follow)) return;
  }
}
