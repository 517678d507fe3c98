/** What is known of a connection before its CONNECT. */
export interface Arrival {
  /** Name of the listener. */
  readonly listener: string;
  /** Whether clients may come without saying who they are: on loopback and Unix sockets, elsewhere only where the listener says so in so many words. */
  readonly anonymous: boolean;
  /** Of the client, behind a PROXY header if there was one; undefined on a Unix socket. */
  readonly address: string | undefined;
  /** Whether it comes from a process of this machine, on loopback or a Unix socket, and not from behind a proxy that has it from elsewhere. */
  readonly isLocal: boolean;
  /** The client's certificate, checked against the CA and the revocation list of the listener. */
  readonly certificate?: {
    readonly commonName: string;
    readonly names: readonly string[];
    readonly fingerprint: string;
    readonly serial: string;
  };
}
