/** More does not help anybody, and is kept, sent and shown at each try. */
const CHARS_MAX = 4_000;
/** Of what is looked at for the lines that are the author's. */
const READ_CHARS_MAX = 64 * 1024;

/** What a person is told about code that does not load: what the author's code has to do with it, and nothing of this process. */
export function loadErrorOf(error: unknown, { timeoutMs, memoryMb }: { timeoutMs: number; memoryMb: number }): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/execution timed out/i.test(message)) return `LIMIT_CPU: the top-level code computed for more than ${timeoutMs} ms`;
  if (/memory limit|out of memory/i.test(message)) return `LIMIT_MEMORY: the top-level code needs more than ${memoryMb} MB (limits.memory)`;
  const text = error instanceof Error ? ownFrames((error.stack ?? message).slice(0, READ_CHARS_MAX)) : message;
  return text.length <= CHARS_MAX ? text : `${text.slice(0, CHARS_MAX)} \u2026`;
}

/** The frames before the boundary of the isolate, without those of the guest code. */
function ownFrames(stack: string): string {
  const lines = stack.split("\n");
  const boundary = lines.findIndex((line) => line.includes("<isolated-vm boundary>"));
  return lines
    .slice(0, boundary === -1 ? lines.length : boundary)
    .filter((line) => !/^\s+at .*(?:<isolated-vm>|\[stdin\]|node:|file:|\/)/.test(line))
    .join("\n");
}
