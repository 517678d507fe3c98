import { join } from "node:path";
import type { AuthenticateError, Client, PublishPacket } from "aedes";
import { algorithmsProblem } from "../../core/access-config.ts";
import { canonicalAddress, isLoopback } from "../../core/addresses.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { runAt } from "../../core/run-at.ts";
import type { Arrival } from "../arrival.ts";
import { sendPacket } from "../encode.ts";
import { REASON } from "../reasons.ts";
import type { AccessOptions, Reached } from "./access-options.ts";
import { type Admitted, admittedOf, setAdmitted } from "./admitted.ts";
import { type Attempt, Attempts } from "./attempts.ts";
import { auditFile, AuditLog } from "./audit-log.ts";
import { FolderWatch } from "./folder-watch.ts";
import { FunctionRules } from "./function-rules.ts";
import { type Credentials, identify, type Ways } from "./identify.ts";
import type { Bearer } from "./bearer.ts";
import { digestOf, type Identity } from "./identity.ts";
import { type KeySet, keysFromFile, RemoteKeys } from "./key-set.ts";
import { nothingPermitted, Permit } from "./permit.ts";
import { filterAsSent } from "../filters.ts";
import { Refusals } from "./refusals.ts";
import { Refused } from "./refused.ts";
import { readRules, type Rule } from "./rules-file.ts";
import { Tokens } from "./tokens.ts";
import { Users } from "./users.ts";
import { readUsers, type UserTable } from "./users-file.ts";
import { WatchedFile } from "./watched-file.ts";

type OwnerOf = (client: string) => string | undefined;
type Verdict = (error: AuthenticateError | null, allowed: boolean) => void;

/** Return code of a CONNACK before version 5. */
const SERVER_UNAVAILABLE = 3;
/** Clients that are looked at in one turn after a change of the files. */
const LOOK_MAX = 100;

function isFar(host: string): boolean {
  const address = canonicalAddress(host);
  return host !== "localhost" && (address === undefined || !isLoopback(address));
}

/** Who may come in and who may do what. Files that change count at once; one with a mistake does not count, and the one before goes on to. */
export class Access implements AsyncDisposable {
  readonly #users: WatchedFile<UserTable>;
  readonly #rules: WatchedFile<readonly Rule[]>;
  /** What functions may publish. */
  readonly functions: FunctionRules;
  readonly #ways: Ways;
  readonly #keys: KeySet | undefined;
  readonly #attempts: Attempts;
  readonly #comings: Refusals;
  readonly #doings: Refusals;
  readonly #wills: Refusals;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #watch: FolderWatch;
  readonly #audit: AuditLog;
  /** By id; more than one while a client takes over from an earlier connection, which goes on if it gives up. */
  readonly #clients = new Map<string, Set<Client>>();
  /** How often the files have changed. */
  #changes = 0;
  #looking = false;
  #lookAgain = false;

  /** @throws MillraceError USERS_INVALID, ACCESS_INVALID, FILE_UNREADABLE: what is wrong at the start must not open the door */
  constructor(options: AccessOptions, logger: Logger, clock: Clock = systemClock) {
    this.#logger = logger;
    this.#clock = clock;
    const { users, rules } = options;
    this.#users = new WatchedFile(users.path, readUsers);
    this.#rules = new WatchedFile(rules.path, readRules);
    this.functions = new FunctionRules(() => this.#rules.value);
    // One that is not there must not be taken for one that allows everything.
    if (rules.isNamed && this.#rules.value === undefined)
      throw new MillraceError("FILE_UNREADABLE", `cannot read the access rules in ${rules.path}: there is no such file`);
    this.#keys = options.tokens === undefined ? undefined : keysFor(options.tokens, options.data, logger, clock);
    this.#ways = {
      users: new Users(() => this.#users.value, clock),
      tokens: options.tokens === undefined || this.#keys === undefined ? undefined : new Tokens(this.#keys, options.tokens, clock),
      certificateIdentity: options.certificateIdentity,
    };
    this.#attempts = new Attempts(clock);
    this.#audit = new AuditLog({ file: auditFile(options.data), bytesMax: options.auditBytesMax }, logger, clock);
    this.#comings = new Refusals(logger, clock, (about, reason) => this.#audit.note({ event: "refused", ...about, reason }));
    this.#doings = new Refusals(logger, clock);
    this.#wills = new Refusals(logger, clock, (about, reason) => this.#audit.note({ event: "will-refused", ...about, reason }));
    this.#watch = new FolderWatch([users.path, rules.path], () => this.look(), logger);
  }

  /** Says in the log what listeners that are reached over the network still need, so that nobody has to guess why clients are refused. */
  explain(listeners: readonly Reached[]): void {
    const far = listeners.filter(({ host }) => host !== undefined && isFar(host));
    const listener = far.map(({ name }) => name).join(", ");
    if (far.length === 0) return;
    if (!this.#knowsAnybody && !far.some(({ letsIn }) => letsIn))
      this.#logger.warn(
        { listener },
        "clients from other machines are refused: nobody is known yet; `millrace users add NAME`, or mqtt.jwt_keys, lets them in",
      );
    else if (this.#rules.value === undefined)
      this.#logger.warn({ listener, file: this.#rules.path }, "clients from other machines may do nothing: there is no access file yet");
  }

  get #knowsAnybody(): boolean {
    return this.#ways.users.areKept || this.#ways.tokens !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.#keys?.[Symbol.dispose]();
    await this.#audit[Symbol.asyncDispose]();
  }

  /** Resolves when the client may come in; what it may do is then known. `ownerOf` is asked for the user of a stored session. @throws Refused */
  async admit(client: Client, arrival: Arrival, credentials: Credentials, ownerOf: OwnerOf = () => undefined): Promise<void> {
    this.look();
    const known = await this.#identify(arrival, credentials);
    if (client.closed || client.conn.destroyed) throw new Refused("busy", "it has gone");
    const identity = this.#renewed(known);
    if (identity === undefined) throw new Refused("credentials", "the user has just been changed");
    const permit = this.#permitOf(client.id, arrival, identity);
    const admitted = { arrival, identity, permit, asOf: this.#changes, isKnown: true, since: this.#clock.now() };
    const will = Reflect.get(client, "_will") as { readonly topic: string; readonly retain?: boolean } | null | undefined;
    if (will && !permit.mayPublish(will.topic, will.retain === true))
      throw new Refused("will", `it may not publish its will to "${will.topic.slice(0, 100)}"`);
    this.#checkOwner(client.id, identity, ownerOf);
    setAdmitted(client, admitted);
    const connections = this.#clients.get(client.id) ?? new Set();
    this.#clients.set(client.id, connections.add(client));
    const end = identity.until === undefined ? undefined : this.#endAt(client, identity.until);
    const about = { client: client.id, user: identity.user, address: arrival.address, listener: arrival.listener };
    this.#audit.note({ event: "connected", ...about, proof: identity.proof });
    client.conn.once("close", () => {
      this.#audit.note({ event: "disconnected", ...about });
      connections.delete(client);
      if (connections.size === 0) this.#clients.delete(client.id);
      end?.[Symbol.dispose]();
    });
  }

  /** Tells a client that it is not let in, and why as far as its version has words for it. */
  refuse(client: Client, error: Error, verdict: Verdict): void {
    const refused = error instanceof Refused ? error : undefined;
    if (client.closed || client.version !== 5 || refused === undefined) {
      const returnCode = refused?.returnCode ?? SERVER_UNAVAILABLE;
      verdict(Object.assign(new Error(error.message), { returnCode }), false);
      return;
    }
    const { reasonCode, message } = refused;
    // The engine's own answer knows no more than the codes of version 3.1.1.
    sendPacket({ cmd: "connack", sessionPresent: false, reasonCode, properties: { reasonString: message } }, client.conn, 5);
    client.emit("error", refused);
  }

  /** Why a client may not publish a packet, or undefined when it may. */
  publishProblem(client: Client, { topic, retain }: PublishPacket): string | undefined {
    if (this.#current(client)?.permit.mayPublish(topic, retain) === true) return undefined;
    this.#logDoing(client, topic, retain ? "publish and keep" : "publish");
    return retain ? "this client may not publish a message to be kept there" : "this client may not publish there";
  }

  /** Why the will of a client that is gone may not be published, by the files as they are now, or undefined when it may. Who may not is logged. */
  willProblem(
    { client, identity, arrival }: Bearer,
    { topic, retain }: { readonly topic: string; readonly retain: boolean },
  ): string | undefined {
    const renewed = this.#renewed(identity);
    const permit = renewed === undefined ? undefined : this.#permitOf(client, arrival, renewed);
    if (permit?.mayPublish(topic, retain) === true) return undefined;
    const decision = permit?.publishing(topic);
    const why = (decision?.allowed === true ? permit?.retaining(topic) : decision)?.why ?? "its user is gone or has another password";
    const about = { client, user: identity.user, address: arrival.address, listener: arrival.listener, topic };
    this.#wills.log(about, why, "a client may not publish its will");
    return why;
  }

  maySubscribe(client: Client, filter: string): boolean {
    if (this.#current(client)?.permit.maySubscribe(filter) === true) return true;
    this.#logDoing(client, filterAsSent(filter), "subscribe");
    return false;
  }

  async #identify(arrival: Arrival, credentials: Credentials): Promise<Identity> {
    const { user, password } = credentials;
    const attempt: Attempt = { address: arrival.address, name: user };
    const isProof = arrival.certificate === undefined && password !== undefined && this.#knowsAnybody;
    const waitMs = isProof ? this.#attempts.waitMs(attempt) : 0;
    if (waitMs > 0) throw new Refused("rate", `too many failures, try again in ${Math.ceil(waitMs / 1_000)} s`);
    try {
      const identity = await identify(this.#ways, arrival, { ...credentials, isFree: () => this.#attempts.waitMs(attempt) === 0 });
      if (isProof && identity.proof !== "none") this.#attempts.succeeded(attempt);
      return identity;
    } catch (error) {
      if (isProof && error instanceof Refused && error.reasonCode === REASON.badUserNameOrPassword) this.#attempts.failed(attempt);
      throw error;
    }
  }

  /** Logs that a client was not let in. */
  logRefused(client: Client, arrival: Arrival, user: string | undefined, error: Error): void {
    const about = { client: client.id, user, address: arrival.address, listener: arrival.listener };
    const reason = error instanceof Refused ? (error.detail ?? error.message) : error.message;
    this.#comings.log(about, reason, "a client was not let in");
  }

  /** Notes in the audit log what an operator has done to a client or its session. */
  noteCommand(reason: string, whom: { readonly client: string; readonly user: string | undefined }): void {
    this.#audit.note({ event: "command", ...whom, reason });
  }

  #logDoing(client: Client, topic: string, action: "publish" | "publish and keep" | "subscribe"): void {
    const admitted = admittedOf(client);
    const permit = admitted?.permit;
    const first = action === "subscribe" ? permit?.subscribing(topic) : permit?.publishing(topic);
    const decision = action === "publish and keep" && first?.allowed === true ? permit?.retaining(topic) : first;
    const about = { client: client.id, user: admitted?.identity.user, address: admitted?.arrival.address, topic };
    this.#doings.log(about, decision?.why ?? "it was not let in", `a client may not ${action}`);
  }

  #permitOf(client: string, arrival: Pick<Arrival, "address" | "isLocal">, identity: Identity): Permit {
    const subject = { user: identity.user, groups: identity.groups, client, address: arrival.address };
    return new Permit(subject, this.#rules.value, arrival.isLocal);
  }

  /**
   * A session belongs to who has it, while its client is away too: another user with the same client id would end it or get what waits for it. That of a
   * client that has not said who it is is anybody's.
   */
  #checkOwner(id: string, { user }: Identity, ownerOf: OwnerOf): void {
    const connected = [...(this.#clients.get(id) ?? [])].map((other) => admittedOf(other)?.identity.user);
    const other = [...connected, ownerOf(id)].find((owner) => owner !== undefined && owner !== user);
    if (other === undefined) return;
    const detail = `the session with this client id belongs to the user "${other}"; \`millrace clients forget ID\` ends it`;
    throw new Refused("taken", "another user has a session with this client id", detail);
  }

  #endAt(client: Client, until: number): Disposable {
    return runAt(this.#clock, until, () => this.#turnOut(client, REASON.maximumConnectTime, "the time of its token is over"));
  }

  #turnOut(client: Client, reasonCode: number, why: string): void {
    const { identity, arrival } = admittedOf(client) ?? {};
    this.#comings.log({ client: client.id, user: identity?.user, address: arrival?.address }, why, "a client was disconnected");
    client.disconnect({ reasonCode, properties: { reasonString: why } });
  }

  /** Reads files that have changed. */
  look(): void {
    let changed = false;
    for (const file of [this.#users, this.#rules]) {
      try {
        if (!file.look()) continue;
        changed = true;
        this.#audit.note({ event: "changed", file: file.path });
        this.#logger.info({ file: file.path }, "who may come in or do what has changed");
      } catch (error) {
        const hint = error instanceof MillraceError ? error.hint : undefined;
        this.#logger.error(
          { file: file.path, error: messageOf(error), hint },
          "a file of access cannot be used; what it said before goes on to count",
        );
      }
    }
    if (!changed) return;
    this.#changes++;
    void this.#applyToAll();
  }

  async #applyToAll(): Promise<void> {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#lookAgain) {
      this.#lookAgain = false;
      let count = 0;
      for (const client of this.#everybody()) {
        this.#applyTo(client);
        if (++count % LOOK_MAX === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#looking = false;
  }

  *#everybody(): Generator<Client> {
    for (const connections of this.#clients.values()) yield* connections;
  }

  #applyTo(client: Client): void {
    if (client.closed) return;
    const now = this.#current(client);
    if (now === undefined) return;
    if (!now.isKnown) return this.#turnOut(client, REASON.notAuthorized, "its user is gone or has another password");
    const lost = Object.keys(Reflect.get(client, "subscriptions") as object).find((filter) => !now.permit.maySubscribe(filter));
    // Only a new SUBSCRIBE could tell it that it has a subscription no more.
    if (lost !== undefined)
      this.#turnOut(client, REASON.notAuthorized, `it may not subscribe to "${filterAsSent(lost).slice(0, 100)}" any more`);
  }

  /** What is known of a client that was let in, by the files as they are now: also of one that is gone and whose will waits. */
  #current(client: Client): Admitted | undefined {
    const before = admittedOf(client);
    if (before === undefined || before.asOf === this.#changes) return before;
    const { identity, arrival } = before;
    const renewed = this.#renewed(identity);
    const permit =
      renewed === undefined
        ? nothingPermitted({ user: identity.user, groups: [], client: client.id, address: arrival.address })
        : this.#permitOf(client.id, arrival, renewed);
    const now = { ...before, identity: renewed ?? identity, permit, asOf: this.#changes, isKnown: renewed !== undefined };
    setAdmitted(client, now);
    return now;
  }

  /** Undefined when it is one no more. */
  #renewed(identity: Identity): Identity | undefined {
    const { user, proof, passwordDigest } = identity;
    if (user === undefined || proof === "token") return identity;
    const now = this.#ways.users.get(user);
    if (proof === "password" && (now?.password === undefined || digestOf(now.password) !== passwordDigest)) return undefined;
    return { ...identity, groups: now?.groups ?? [] };
  }
}

function keysFor(
  { keys, refreshMs, algorithms }: NonNullable<AccessOptions["tokens"]>,
  data: string,
  logger: Logger,
  clock: Clock,
): KeySet {
  const problem = algorithmsProblem(algorithms);
  if (problem !== undefined) throw new MillraceError("CONFIG_INVALID", problem);
  if (!/^https?:/i.test(keys)) return keysFromFile(keys, logger);
  return new RemoteKeys({ url: keys, kept: join(data, "token-keys.json"), refreshMs }, logger, clock);
}
