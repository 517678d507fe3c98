import { posix } from "node:path";
import type { Files } from "./tree.ts";

/** Relative links of Markdown files that lead nowhere: to no path of the checkout, or to no heading of the page. */
export function linkProblems(pages: Files, exists: (path: string) => boolean): string[] {
  return [...pages].flatMap(([page, text]) =>
    linksOf(text).flatMap(({ target, line }) => {
      const [path = "", anchor] = decodeURI(target).split("#");
      const file = path === "" ? page : posix.join(posix.dirname(page), path);
      if (file.startsWith("..") || !exists(file)) return [`${page}:${line}: "${target}" leads nowhere`];
      const headings = pages.get(file);
      if (anchor === undefined || headings === undefined || anchorsOf(headings).has(anchor)) return [];
      return [`${page}:${line}: ${file} has no heading "#${anchor}"`];
    }),
  );
}

interface Link {
  readonly target: string;
  readonly line: number;
}

/** Inline links and link definitions, outside of code. */
function linksOf(text: string): Link[] {
  const links: Link[] = [];
  for (const [index, line] of withoutCode(text).entries()) {
    for (const match of line.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)/g)) {
      const target = match[1] ?? match[2] ?? "";
      if (!/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(target)) links.push({ target, line: index + 1 });
    }
  }
  return links;
}

/** The lines of a page, with what is code emptied. */
function withoutCode(text: string): string[] {
  let fence: string | undefined;
  return text.split("\n").map((line) => {
    const mark = /^\s*(```+|~~~+)/.exec(line)?.[1];
    const inside = fence !== undefined;
    if (mark !== undefined && fence === undefined) fence = mark;
    else if (mark !== undefined && fence !== undefined && mark.startsWith(fence)) fence = undefined;
    return inside || mark !== undefined ? "" : line.replaceAll(/`[^`]*`/g, "");
  });
}

/** Anchors as the usual forges make them from headings. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  let fenced = false;
  for (const line of text.split("\n")) {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    const heading = fenced ? undefined : /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

const FIGURE =
  /\d[\d.,]*\s?(?:%|×|ns|µs|ms|s|min|h|B|KB|MB|GB|bytes|lines|times|(?:msg|messages|events|records|rows|publishes)\/s)(?![\p{L}\d])/u;

/** What every decision page needs: when it was decided, what was refused, the figure that decided. */
export function decisionProblems(pages: Files): string[] {
  return [...pages].flatMap(([page, text]) => {
    const head = text.split("\n").slice(0, 8).join("\n");
    return [
      ...(/\b20\d\d-[01]\d-[0-3]\d\b/.test(head) ? [] : [`${page}: no date (YYYY-MM-DD) in its first lines`]),
      ...(/^(?:#+\s|\*\*).*refused/im.test(text) ? [] : [`${page}: no heading that names the options refused`]),
      ...(FIGURE.test(text) ? [] : [`${page}: no figure with a unit`]),
    ];
  });
}
