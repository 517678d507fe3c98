// The process around the program: signals, standard streams, exit code. It must load under an old Node too, to say that it is one.
const NODE_MAJOR_MIN = 26;

if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR_MIN) {
  process.stderr.write(`error NODE_TOO_OLD: Millrace needs Node ${NODE_MAJOR_MIN} or later, this is ${process.version}\n`);
  process.stderr.write("  hint: Install Node 26 or later.\n");
  process.exit(1);
}

const { keepCompiled } = await import("./compile-cache.ts");
keepCompiled(process.env);

const { isatty } = await import("node:tty");
const { EXIT, describe, runProgram } = await import("./program.ts");

const args = process.argv.slice(2);
const stop = new AbortController();

function end(): void {
  // The first signal asks for an orderly end; whoever sends a second one does not want to wait for it.
  if (stop.signal.aborted) process.exit(EXIT.interrupted);
  stop.abort();
}

for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, end);

const reloads = new Set<() => void>();
process.on("SIGHUP", () => {
  if (reloads.size === 0) end();
  for (const reload of reloads) reload();
});

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    process.stderr.write(describe(error, args.includes("--json")));
    process.exit(EXIT.bug);
  });
}

let readerGone = false;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  readerGone = true;
  stop.abort();
});
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  // Nobody reads the errors and there is nowhere to say so.
  if (error.code !== "EPIPE") throw error;
});

const code = await runProgram(args, {
  stdout: (text) => {
    if (!readerGone) process.stdout.write(text);
  },
  stderr: (text) => void process.stderr.write(text),
  signal: stop.signal,
  onHangUp: (reload) => {
    reloads.add(reload);
    return { [Symbol.dispose]: () => void reloads.delete(reload) };
  },
  tty: isatty(1),
  env: process.env,
});

// A pipe may still hold text that has not been written out, and something a command forgot must not keep the process alive after it.
process.stdout.write("", () => process.exit(readerGone ? EXIT.ok : code));
if (readerGone) process.exit(EXIT.ok);
