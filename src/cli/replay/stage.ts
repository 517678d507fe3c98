import { encodeBundle, type Bundle, decodeBundle } from "../../core/bundle.ts";
import { FUNCTION_NAME } from "../../core/control-api.ts";
import { MillraceError } from "../../core/errors.ts";
import { silentLogger } from "../../core/log.ts";
import { type RecordedMessage, toLine } from "../../core/recording.ts";
import { buildFunction } from "../../runtime/build/build.ts";
import { Replay, type ReplayedPage } from "../../runtime/replays.ts";
import { ControlClient } from "../client/control-client.ts";
import { replayAnswers } from "../client/replay-schemas.ts";
import { ask, type Remote, remote } from "../client/http.ts";

/** What is asked for by `--function`: a folder to be built here, or what is published under a name. */
export type ReplayedFunction = { readonly bundle: Bundle } | { readonly name: string; readonly version: number | undefined };

/** @throws MillraceError USAGE; for a folder whatever building it throws */
export async function parseFunction(text: string): Promise<ReplayedFunction> {
  if (/[/\\]/.test(text) || text.startsWith(".")) return { bundle: await buildFunction(text) };
  const [name = "", version, ...rest] = text.split("@");
  const known = version === undefined || /^[1-9]\d{0,8}$/.test(version);
  if (!FUNCTION_NAME.test(name) || !known || rest.length > 0) {
    throw new MillraceError("USAGE", `--function "${text}" is no name, NAME@VERSION with a number, or folder such as ./functions/celsius`);
  }
  return { name, version: version === undefined ? undefined : Number(version) };
}

/** Where a function is handed recorded messages; nothing that it does is kept. */
export interface Stage extends AsyncDisposable {
  /** `celsius v3` */
  readonly title: string;
  /** May take only the first of the messages. */
  handle(messages: readonly RecordedMessage[]): Promise<ReplayedPage>;
}

/** In a process of this machine, without a gateway; the state begins empty. @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
export async function openLocalStage(bundle: Bundle, signal: AbortSignal): Promise<Stage> {
  const replay = await Replay.open({ bundle, version: 0, state: () => Promise.resolve([]) }, { gateway: "local" }, silentLogger);
  if (signal.aborted) await replay.close();
  signal.throwIfAborted();
  // Closing lets go of whoever waits for a handler; the disposal waits for the end of the closing.
  const stop = (): void => void replay.close();
  signal.addEventListener("abort", stop, { once: true });
  return {
    title: bundle.manifest.name,
    handle: (messages) => replay.handle(messages),
    [Symbol.asyncDispose]: () => {
      signal.removeEventListener("abort", stop);
      return replay.close();
    },
  };
}

export interface GatewayStageOptions {
  readonly gateway: string;
  readonly control: string;
  readonly state: "current" | "empty";
  readonly signal: AbortSignal;
}

/** Whoever tells the gateway that it is over does not wait for it longer than this. */
const END_MS_MAX = 500;
/** A page is answered after some seconds, whatever the handlers do. */
const PAGE_MS_MAX = 120_000;

/** On a gateway, with its state. A version that does not run there is fetched from the control plane. */
export async function openGatewayStage(wanted: ReplayedFunction, options: GatewayStageOptions): Promise<Stage> {
  const { signal, state } = options;
  const to = remote(options.gateway, { flag: "--gateway", what: "a gateway", unreachable: "GATEWAY_UNREACHABLE" });
  const begin = (body: object): Promise<Begun> =>
    post(to, { path: "/v1/replays", schema: replayAnswers.begun, signal, value: { state, ...body }, timeoutMs: PAGE_MS_MAX });
  const begun = await beginWith(wanted, options, begin);
  const path = `/v1/replays/${begun.id}`;
  return {
    title: "bundle" in wanted ? begun.function : `${begun.function} v${begun.version}`,
    handle: (messages) => {
      const value = { messages: messages.map(toLine) };
      return post(to, { path: `${path}/messages`, schema: replayAnswers.page, signal, value, timeoutMs: PAGE_MS_MAX });
    },
    [Symbol.asyncDispose]: async () => {
      const over = AbortSignal.timeout(END_MS_MAX);
      // A gateway that does not answer ends the replay by itself.
      await ask(to, { path, schema: replayAnswers.ended, signal: over, method: "DELETE" }).catch(() => undefined);
    },
  };
}

interface Begun {
  readonly id: string;
  readonly function: string;
  readonly version: number;
}

async function beginWith(
  wanted: ReplayedFunction,
  { control, signal }: GatewayStageOptions,
  begin: (body: object) => Promise<Begun>,
): Promise<Begun> {
  if ("bundle" in wanted) return begin({ bundle: encodeBundle(wanted.bundle).toString("base64") });
  const { name, version } = wanted;
  try {
    return await begin({ function: name, ...(version === undefined ? {} : { version }) });
  } catch (error) {
    const elsewhere = error instanceof MillraceError && (error.code === "NOT_FOUND" || error.code === "FUNCTION_UNKNOWN");
    if (!elsewhere || version === undefined) throw error;
    const bytes = await new ControlClient(control, signal).bundle(name, version);
    decodeBundle(bytes);
    return begin({ bundle: Buffer.from(bytes).toString("base64"), version });
  }
}

interface Post<T> {
  readonly path: string;
  readonly schema: Parameters<typeof ask<T>>[1]["schema"];
  readonly signal: AbortSignal;
  readonly value: object;
  readonly timeoutMs: number;
}

function post<T>(to: Remote, { value, ...request }: Post<T>): Promise<T> {
  return ask(to, { ...request, method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
}
