import { once } from "node:events";
import { connect, createServer } from "node:net";
import { MillraceError, messageOf } from "../../core/errors.ts";
import { authority, type Endpoint, listen } from "../../core/listen.ts";
import { fail, type Finding, ok, skipped, warn } from "./finding.ts";

const ANSWER_MS_MAX = 3_000;
const DEFAULT_PORT: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883 };

/** The id of the gateway that answers at this HTTP endpoint, if one does. */
export async function runningGateway(endpoint: Endpoint, signal: AbortSignal): Promise<string | undefined> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
    const answer: unknown = await (await fetch(`http://${authority(reachable(endpoint))}/healthz`, { signal: limit })).json();
    if (typeof answer !== "object" || answer === null || !("program" in answer) || !("gateway" in answer)) return undefined;
    return answer.program === "millrace gateway" && typeof answer.gateway === "string" ? answer.gateway : undefined;
  } catch {
    // Nobody there, or somebody who speaks something else: both mean that no gateway answers.
    return undefined;
  }
}

export async function checkPort(setting: string, endpoint: Endpoint, gateway: string | undefined): Promise<Finding> {
  const check = `port ${endpoint.port}`;
  if (endpoint.port === 0) return ok(check, `${setting}: a free port is picked at the start`);
  const server = createServer();
  try {
    await listen(server, endpoint, setting);
    return ok(check, `${setting}: ${authority(endpoint)} is free`);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code !== "PORT_IN_USE") return fail(check, error.message, error.hint);
    if (gateway !== undefined) return ok(check, `${setting}: in use by the running gateway "${gateway}"`);
    return fail(check, `${setting}: another program uses ${authority(endpoint)}`, `Stop it, or set ${setting} to another port.`);
  } finally {
    server.close();
  }
}

export async function checkLink(url: string, signal: AbortSignal): Promise<Finding> {
  const check = "link";
  if (url === "") return skipped(check, "control.url is empty: this gateway has no link");
  const { hostname, port, protocol } = new URL(url);
  const endpoint = { host: hostname.replaceAll(/[[\]]/g, ""), port: port === "" ? (DEFAULT_PORT[protocol] ?? 1883) : Number(port) };
  const socket = connect(endpoint);
  try {
    await once(socket, "connect", { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]) });
    return ok(check, `${authority(endpoint)} accepts connections`);
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error && error.name === "AbortError" ? `no answer within ${ANSWER_MS_MAX} ms` : reasonOf(error);
    return warn(
      check,
      `the control plane at ${authority(endpoint)} cannot be reached: ${reason}`,
      "The gateway works on without it and sends its events later. Check control.url, the network and that the control plane runs.",
    );
  } finally {
    socket.destroy();
  }
}

/** A connection tried over several addresses fails with one error for each and an empty message of its own. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : messageOf(error);
}

/** An address that stands for every network is reached through this machine's own. */
function reachable({ host, port }: Endpoint): Endpoint {
  return { host: host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host, port };
}
