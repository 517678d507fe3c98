import { mkdir, writeFile } from "node:fs/promises";
import { SourceMap } from "node:module";
import { z } from "zod";
import { digestOf, encodeBundle } from "../../src/core/bundle.ts";
import { silentLogger } from "../../src/core/log.ts";
import type { FunctionStats } from "../../src/core/stats.ts";
import { type HttpServer, startHttp } from "../../src/http/server.ts";
import { buildFunction } from "../../src/runtime/build/build.ts";
import { Inspections } from "../../src/runtime/inspections.ts";
import { startCli } from "../integration/cli-tools/support.ts";
import { Parts } from "../integration/http/support.ts";
import { Core } from "./core.ts";
import type { Debugger } from "./debugger.ts";
import { eventually } from "./eventually.ts";
import type { TestFunction } from "./functions.ts";

export const INDEX = `import { defineFunction } from 'millrace';

export default defineFunction<{ v: number }>({
  async handler(event, ctx) {
    const doubled = event.data.v * 2;
    const before = (await ctx.state.get<number>('sum')) ?? 0;
    ctx.state.set('sum', before + doubled);
    if (doubled < 0) for (;;);
    ctx.emit('doubled', { v: doubled, sum: before + doubled });
  },
});
`;
/** Of `const before`, counted from 0. */
const BREAK_LINE = INDEX.split("\n").findIndex((line) => line.includes("const before"));

const SCRIPT = "millrace://doubler/doubler.js";

const MANIFEST = `name: doubler
api: 1
entry: index.ts
triggers:
  - mqtt: in/+k
key: k
limits: {cpu: 50ms, wall: 1s}
retry: {attempts: 1}
permissions: {emit: ['*']}
`;

/** A function as an author writes it, with its source map: doubles `v`, and never comes to an end with a negative one. */
export async function doubler(folder: string, more: { readonly version?: number; readonly manifest?: string } = {}): Promise<TestFunction> {
  const { version = 1, manifest = "" } = more;
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/function.yaml`, MANIFEST + manifest);
  await writeFile(`${folder}/index.ts`, version === 1 ? INDEX : INDEX.replace("'doubled'", `'doubled.v${version}'`));
  const bundle = await buildFunction(folder);
  return { bundle, target: { name: "doubler", version, digest: digestOf(encodeBundle(bundle)) } };
}

/** The inner part of a gateway with its HTTP. */
export class Inspectable implements AsyncDisposable {
  readonly core: Core;
  readonly server: HttpServer;

  private constructor(core: Core, server: HttpServer) {
    this.core = core;
    this.server = server;
  }

  static async open(...functions: readonly TestFunction[]): Promise<Inspectable> {
    const core = await Core.temporary();
    const inspections = new Inspections((name) => core.runtime.deployed(name));
    const parts = Object.assign(new Parts(), { inspect: inspections.begin.bind(inspections) });
    const server = await startHttp({ host: "127.0.0.1", port: 0 }, parts, { logger: silentLogger });
    await core.deploy(...functions);
    return new Inspectable(core, server);
  }

  get http(): string {
    return this.server.address;
  }
  /** Host processes, and how many have died. */
  get hosts(): { readonly hosts: number; readonly hostRestarts: number } {
    const { hosts, hostRestarts } = this.core.runtime.stats();
    return { hosts, hostRestarts };
  }

  stats(name: string): FunctionStats {
    return this.core.stats(name);
  }

  send(topic: string, text: string): Promise<void> {
    return this.core.send(topic, text);
  }

  async handled(name: string, messages: number): Promise<void> {
    await eventually(() => {
      if (this.stats(name).handled < messages) throw new Error(`${this.stats(name).handled} of ${messages} messages are handled`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await this.core[Symbol.asyncDispose]();
  }
}

const ready = z.object({
  event: z.literal("ready"),
  address: z.string(),
  targets: z.array(z.object({ title: z.string(), webSocketDebuggerUrl: z.string(), devtoolsFrontendUrl: z.string() })),
});

/** The command at work, and where it says that a debugger may attach. */
export class Inspecting implements AsyncDisposable {
  readonly run;

  constructor(site: { readonly http: string }, ...flags: readonly string[]) {
    this.run = startCli("functions", "inspect", "doubler", "--json", "--port", "0", "--gateway", site.http, ...flags);
  }

  get lines(): Record<string, unknown>[] {
    const lines = this.run.output.stdout.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  ready(): Promise<z.infer<typeof ready>> {
    return eventually(() => ready.parse(this.lines[0]));
  }

  /** Of the first isolate. */
  async url(): Promise<string> {
    return (await this.ready()).targets[0]?.webSocketDebuggerUrl ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.run.stop();
    await this.run.result;
  }
}

const scriptParsed = z.object({ url: z.string(), scriptId: z.string(), sourceMapURL: z.string() });
const pausedParams = z.object({ callFrames: z.array(z.object({ callFrameId: z.string(), functionName: z.string() })) });

/** Where the debugger holds the function. */
export function held(client: Debugger): Promise<z.infer<typeof pausedParams>> {
  return eventually(() => pausedParams.parse(client.last("Debugger.paused")));
}

/** The source map of the function's script, as a debugger gets it, after `Debugger.enable`. */
export async function sourceMapOf(client: Debugger): Promise<{ readonly url: string; readonly map: SourceMap }> {
  const script = await eventually(() => {
    const found = client.told.find(({ method, params }) => method === "Debugger.scriptParsed" && params?.["url"] === SCRIPT);
    return scriptParsed.parse(found?.params);
  });
  const encoded = script.sourceMapURL.replace("data:application/json;base64,", "");
  const payload = JSON.parse(Buffer.from(encoded, "base64").toString()) as ConstructorParameters<typeof SourceMap>[0];
  return { url: script.url, map: new SourceMap(payload) };
}

/** Sets a breakpoint where the author's file says, as DevTools does: through the source map that comes with the script. */
export async function breakInside(client: Debugger): Promise<void> {
  await client.ask("Debugger.enable");
  const { url, map } = await sourceMapOf(client);
  const generated = Array.from({ length: 1_000 }, (_, line) => map.findEntry(line, 1_000));
  const place = generated.find(
    (entry) => "originalLine" in entry && entry.originalSource === "index.ts" && entry.originalLine === BREAK_LINE,
  );
  if (place === undefined || !("generatedLine" in place)) throw new Error("the source map does not lead to the line");
  const set = await client.ask("Debugger.setBreakpointByUrl", { url, lineNumber: place.generatedLine });
  if (!Array.isArray(set["locations"]) || set["locations"].length !== 1) throw new Error("the breakpoint is nowhere");
}
