import { constants, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Logger } from "../../core/log.ts";
import type { Arrival } from "../arrival.ts";
import type { TlsRules } from "./rules.ts";
import { materialOf, readTlsFiles, type TlsMaterial } from "./tls-files.ts";
import { TlsReload } from "./tls-reload.ts";

interface Waiting {
  readonly resolve: (socket: TLSSocket) => void;
  readonly reject: (error: Error) => void;
}

/** A certificate is told to be near its end in the log from then on. */
const ENDING_MS = 14 * 86_400_000;

/** TLS over connections that a listener has taken. New certificates count for handshakes that begin after them; connections go on. */
export class TlsHandshakes implements Disposable {
  readonly #server: Server;
  readonly #reload: TlsReload;
  readonly #use: TlsRules["clientCertificates"];
  /** By both ends of the connection: the server makes its own object of it. */
  readonly #waiting = new Map<string, Waiting>();

  private constructor(rules: TlsRules, material: TlsMaterial, logger: Logger) {
    this.#use = rules.clientCertificates;
    const requestCert = this.#use !== "none";
    // A session that is taken up again would not look at the revocation list.
    const secureOptions = requestCert ? { secureOptions: constants.SSL_OP_NO_TICKET } : {};
    // What is wrong with a certificate is found below, so that the log can say it.
    this.#server = createServer({ ...material.options, ...secureOptions, requestCert, rejectUnauthorized: false });
    this.#server.on("secureConnection", (socket) => this.#finish(socket));
    this.#server.on("tlsClientError", (error, socket) => this.#waitingFor(socket)?.reject(error));
    const use = (changed: TlsMaterial): void => {
      this.#server.setSecureContext({ ...changed.options, ...secureOptions });
      tellOfEnd(changed, logger);
    };
    tellOfEnd(material, logger);
    this.#reload = new TlsReload(rules, material, { use, logger });
  }

  /** @throws MillraceError FILE_UNREADABLE, CERTIFICATE_INVALID */
  static async create(rules: TlsRules, logger: Logger): Promise<TlsHandshakes> {
    return new TlsHandshakes(rules, materialOf(rules, await readTlsFiles(rules)), logger);
  }

  /** Looks at the files of the certificates at once. */
  reload(): void {
    this.#reload.look();
  }

  /** Rejects when the handshake fails or the certificate of the client is not good. Whoever destroys the socket ends it. */
  async secure(socket: Socket): Promise<TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const ends = endsOf(socket);
    this.#waiting.set(ends, { resolve, reject });
    socket.once("close", () => reject(new Error("the connection was closed within the TLS handshake")));
    try {
      this.#server.emit("connection", socket);
      return await promise;
    } finally {
      this.#waiting.delete(ends);
    }
  }

  [Symbol.dispose](): void {
    this.#reload[Symbol.dispose]();
  }

  #finish(socket: TLSSocket): void {
    const waiting = this.#waitingFor(socket);
    if (waiting === undefined) return void socket.destroy();
    const shown = socket.getPeerX509Certificate() !== undefined;
    if (this.#use !== "none" && shown && !socket.authorized) {
      waiting.reject(new Error(`the certificate of the client is not good: ${String(socket.authorizationError)}`));
    } else if (this.#use === "required" && !shown) waiting.reject(new Error("the client shows no certificate"));
    else waiting.resolve(socket);
  }

  #waitingFor(socket: TLSSocket): Waiting | undefined {
    return this.#waiting.get(endsOf(socket));
  }
}

/** What a client says of itself with its certificate, which has been found good; undefined when it has shown none. */
export function certificateOf(socket: TLSSocket): Arrival["certificate"] {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return undefined;
  const { fingerprint256: fingerprint, serialNumber: serial } = certificate;
  return { commonName: commonNameOf(certificate), names: namesOf(certificate), fingerprint, serial };
}

/** Empty unless there is exactly one: of several nobody knows which is meant. */
function commonNameOf(certificate: X509Certificate): string {
  const { CN: name } = certificate.toLegacyObject().subject as { readonly CN?: string | readonly string[] };
  return typeof name === "string" ? name : "";
}

/** Alternative names with their kind: `DNS:press-7.example`, `URI:urn:press:7`. A name with a comma in it is in quotes, as JSON. */
function namesOf({ subjectAltName }: X509Certificate): string[] {
  return subjectAltName?.match(/[^,"\s][^,"]*(?:"(?:[^"\\]|\\.)*")?/g)?.map((name) => name.trim()) ?? [];
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function tellOfEnd({ validTo }: TlsMaterial, logger: Logger): void {
  const about = { validTo: validTo.toISOString() };
  const left = validTo.getTime() - Date.now();
  if (left < 0) logger.error(about, "the certificate of the listener has ended: clients that check it do not connect");
  else if (left < ENDING_MS) logger.warn(about, "the certificate of the listener ends soon");
}
