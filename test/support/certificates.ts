import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CONFIG = `[ca]
default_ca = this
[this]
dir = .
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
copy_extensions = copy
[any]
commonName = supplied
`;

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority in a folder, by the command line tool of OpenSSL. */
export class TestCa {
  readonly #folder: string;
  readonly certificate: string;
  readonly crl: string;

  constructor(folder: string, commonName = "Test CA") {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.certificate = join(folder, "ca.crt");
    this.crl = join(folder, "ca.crl");
    for (const [name, text] of [
      ["openssl.cnf", CONFIG],
      ["index.txt", ""],
      ["serial", "1000\n"],
      ["crlnumber", "1000\n"],
    ] as const)
      writeFileSync(join(folder, name), text);
    this.#openssl("req", "-x509", ...newKey("ca"), "-out", "ca.crt", "-days", "30", "-subj", `/CN=${commonName}`);
    this.list();
  }

  /** A certificate with its key, good for 30 days or from one time to another; names as `DNS:localhost,IP:127.0.0.1`. */
  issue(name: string, names = `DNS:${name}`, commonName = name, good?: { readonly from: Date; readonly to: Date }): Pair {
    this.#openssl("req", ...newKey(name), "-out", `${name}.csr`, "-subj", `/CN=${commonName}`, "-addext", `subjectAltName=${names}`);
    const times = good === undefined ? [] : ["-startdate", timeOf(good.from), "-enddate", timeOf(good.to)];
    this.#openssl("ca", "-config", "openssl.cnf", "-batch", "-notext", ...times, "-in", `${name}.csr`, "-out", `${name}.crt`);
    return { certificate: join(this.#folder, `${name}.crt`), key: join(this.#folder, `${name}.key`) };
  }

  revoke({ certificate }: Pair): void {
    this.#openssl("ca", "-config", "openssl.cnf", "-revoke", certificate);
    this.list();
  }

  /** Writes the revocation list. */
  list(): void {
    this.#openssl("ca", "-config", "openssl.cnf", "-gencrl", "-out", "ca.crl");
  }

  /** Serial number and times of a certificate, as text. */
  show(certificate: string): string {
    return execFileSync("openssl", ["x509", "-in", certificate, "-noout", "-serial", "-dates"], { encoding: "utf8" });
  }

  get text(): string {
    return readFileSync(this.certificate, "utf8");
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { cwd: this.#folder, stdio: ["ignore", "ignore", "pipe"] });
  }
}

/** As X.509 has it: `20261130120000Z`. */
function timeOf(time: Date): string {
  return time.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
}

function newKey(name: string): string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
}
