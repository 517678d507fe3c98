/**
 * The closed catalogue of operating errors. A code is API: scripts match on it, so it never changes its meaning. `hint` tells the operator
 * what to try; the message, written where the error is thrown, says what happened to which thing. docs/reference/errors.md is this table.
 */
export const ERRORS = {
  CONFIG_INVALID: "Correct the named key; `--check` validates a file without starting anything.",
  MANIFEST_INVALID: "Correct the named line of function.yaml; editors complete and check it with function.schema.json.",
  TOPIC_FILTER_INVALID: "Filters have levels between slashes; `+` or `+name` stands for one level, `#` for the rest, last only.",
  USAGE: "Run `millrace help` for the commands and `millrace help COMMAND` for its flags.",
  RECORDING_INVALID: "Correct the named line of the recording; docs/guide/replay.md describes the format that `millrace record` writes.",
  FILE_UNREADABLE: "Check that the path exists and that this user may read it.",
  CERTIFICATE_INVALID:
    "Give PEM files: a certificate and its own key without a passphrase, CAs, revocation lists. `openssl x509 -in FILE -noout -text` shows what one is.",
  FILE_UNWRITABLE: "Choose a folder that exists and that this user may write to; --force replaces a file.",
  CSV_INVALID: "Correct the named line of the file; quotes must be closed and each row needs as many fields as the header.",
  BUILD_FAILED: "Correct the named file and line; only modules that need no Node and no network can be bundled.",
  BUNDLE_CORRUPT: "The stored or received bytes are not what was published; publish the function again.",
  SOURCE_MAP_INVALID: "Publish the folder of the function with `millrace publish`, which makes the map.",
  BUNDLE_TOO_LARGE: "Import less, or split the function.",
  DIGEST_MISMATCH: "The bytes are not what the digest promises; the version that ran before goes on. Publish the function again.",
  FUNCTION_UNKNOWN: "`millrace functions` lists what is deployed.",
  FUNCTION_LOAD_FAILED: "The code fails while it is loaded; the version that ran before goes on. `millrace invoke` shows it locally.",
  FUNCTION_THREW: "The handler threw; `millrace logs` shows where. It is retried as its manifest says, then dead-lettered.",
  PAYLOAD_INVALID: "The payload is not what the function reads; fix the sender or read `event.bytes`.",
  KEY_MISSING:
    "The payload has no usable value where `key` of the manifest looks for it, so the message was not tried; fix the sender or choose another key.",
  PERMISSION_DENIED:
    "Add it to `permissions` of function.yaml and publish the function again; what an access rule refuses, allow in the access file of the gateway.",
  LIMIT_CPU: "The handler computed for longer than limits.cpu; do less for each message or raise the limit.",
  LIMIT_WALL: "The handler did not finish within limits.wall; await less or raise the limit.",
  LIMIT_MEMORY: "The isolate needed more than limits.memory; keep less or raise the limit.",
  LIMIT_OUTPUT:
    "One message produced more than limits.output, in bytes or in publishes, events and stored values; emit less or raise the limit.",
  LIMIT_STATE:
    "A state value, the state of a key or all that the function keeps is over its limit. Store less, give values a `ttl`, or raise the limit.",
  STATE_NOT_SHARED: "`ctx.state.shared` needs `concurrency: 1` in function.yaml: one isolate sees everything that the function keeps.",
  STATE_NEWER:
    "A version with a higher `state.version` has changed what the function keeps; publish one whose `state.version` is not lower, and whose code reads it.",
  LIMIT_CALLS: "The function asked the gateway for more at once than it can ever need; it probably broke the runtime around it.",
  LIMIT_LOG: "A message logged more than 100 lines or 64 KB, or a function more than 1,000 lines a second; log less. Nothing else is lost.",
  LIMIT_TIMERS: "A message has more than 100 timers at once; clear those that are not needed any more.",
  LIMIT_FETCH:
    "A body or the headers of a fetch were too large, or there were more than 100 for one message; fetch less or raise limits.fetch.",
  FETCH_FORBIDDEN:
    "Name the host in permissions.http of function.yaml, and an address of the local network as well, then publish the function again.",
  FETCH_FAILED:
    "The other side could not be reached or broke off; the message is retried as its manifest says. Check the address and the network.",
  SECRET_MISSING: "Set it with `millrace secrets set NAME` on the gateway; it counts from the next try on.",
  SECRETS_UNREADABLE:
    "Put the key file back where secrets.key_file says, readable for the gateway's user only; without it secrets have to be set anew.",
  SECRETS_CORRUPT: "Take the file from a backup, or delete it and set the secrets anew.",
  USERS_INVALID:
    "Correct the file, or take it from a backup; `millrace users list` reads it without a gateway. Until then the users before count.",
  ACCESS_INVALID: "Correct the named line; `millrace access check` reads the file without a gateway. Until then the rules before count.",
  LIMIT_HOPS: "Functions wake one another in a circle; publish to a topic that none of them listens to.",
  HOST_CRASHED: "The process that ran the function died; its unfinished messages are handed out again.",
  FUNCTION_QUARANTINED:
    "Host processes keep dying of it; nothing of it runs until a back-off has passed. `millrace logs` says why; publish a corrected version.",
  HOSTS_TAKEN: "Raise runtime.own_hosts_max, or take `isolation: process` out of a manifest that can do without.",
  HOST_STARVED:
    "Other programs or functions take the processor of this machine, or its disk is slow; the message is handled again, up to 20 times without an attempt.",
  PORT_IN_USE: "Stop the other program or choose another port; 0 picks a free one.",
  LISTEN_FAILED: "Check the address and that this user may open it.",
  STOP_TIMEOUT: "It was ended anyway; what was acknowledged is on disk, and the next start goes on from there.",
  DATA_LOCKED: "Another process uses this data folder; stop it or choose another folder.",
  DATA_UNWRITABLE: "Check that the folder exists, belongs to this user and is on a writable file system.",
  DATA_CORRUPT: "Stop the process and keep a copy of the folder before anything else.",
  DISK_FULL: "Free some space; messages are not acknowledged until they can be written.",
  JOURNAL_FULL:
    "Functions are behind or the disk is nearly full; `millrace stats` says which. The client keeps the message and sends it again.",
  JOURNAL_CLOSED: "The gateway is stopping; send the message again when it is back.",
  LINK_DOWN: "The gateway works on without the cloud; check the control plane's address and the network.",
  CONTROL_UNREACHABLE: "Check that the control plane runs and its address, given by --control.",
  GATEWAY_UNREACHABLE: "Check that the gateway runs and its address, given by --gateway.",
  BROKER_UNREACHABLE: "Check that the broker runs and its address, given by --broker.",
  BROKER_REFUSED: "Check what this client may publish, the broker's limits and its disk; its log says more.",
  REQUEST_INVALID: "Correct the request; /openapi.json describes what is accepted.",
  REQUEST_TIMEOUT: "Send the whole request without long pauses; http.request_timeout of the gateway says how long it may take.",
  NOT_FOUND: "Check the name; nothing is stored under it.",
  TRACE_UNKNOWN:
    "Messages are known for journal.retention_age and recorded as traces.* says; `millrace logs` and `millrace dead-letters` show ids that there are.",
  TOO_MANY_FOLLOWERS: "End another `millrace logs -f` or `millrace record --follow` first.",
  TOO_MANY_REPLAYS: "Wait until another replay has ended; one whose program has gone ends after a minute.",
  ROUTE_TAKEN: "Give one of the two functions another path or method; the version that ran before goes on.",
  METHOD_UNKNOWN: "The header `allow` says which methods there are.",
  CALL_TIMEOUT: "The request is in the journal and is handled; let the route answer `accepted` when callers need not wait.",
  TOO_MANY_CALLS:
    "Call again when others have been answered; functions are behind, `millrace stats` says which, or callers send slowly or large bodies (http.bytes_max).",
  CALL_REFUSED:
    "Only pages of the gateway's own address may call functions from a browser; other programs do not say where they come from.",
  CALL_DUPLICATE: "The function has handled a message with this idempotency key already.",
  TOO_MANY_INSPECTIONS: "End another `millrace functions inspect` first; it ends with Ctrl-C.",
  INSPECTION_REFUSED: "Run it on the gateway's machine, or forward its HTTP port and the debugger's with `ssh -L`.",
  INSPECTION_ENDED: "What was under way has been handed out again or has come to its end; run `millrace functions inspect` again to go on.",
  BATCH_UNREADABLE: "A gateway's events were damaged on the link or are too large; nothing was acknowledged and they are sent again.",
  STORE_FAILED: "The control plane could not store it; nothing was acknowledged and the gateway sends it again.",
  INTERNAL_ERROR: "This is a defect of Millrace; the log of the process has the details. Please report it.",
  CHILD_FAILED: "The end of its log says why; the whole log is in the data folder, under logs/.",
  DOCTOR_FAILED: "Each failed line above says what to do.",
  NOT_INSTALLED: "Install Millrace again; a package that it needs is missing.",
  NODE_TOO_OLD: "Install Node 26 or later.",
  INTERNAL: "This is a bug in Millrace; the log of the process has the details. Please report it.",
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** An operating error: expected, typed, and fit for a person to read. A bug is an ordinary Error instead and ends the process. */
export class MillraceError extends Error {
  override readonly name = "MillraceError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get hint(): string {
    return ERRORS[this.code];
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system error code (`ENOSPC`, `EADDRINUSE`, `LEVEL_LOCKED` …) of an error or of the nearest cause that has one. */
export function systemCode(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (!(at instanceof MillraceError) && "code" in at && typeof at.code === "string" && at.code !== "LEVEL_DATABASE_NOT_OPEN")
      return at.code;
  }
  return undefined;
}
