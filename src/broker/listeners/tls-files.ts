import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { TlsRules } from "./rules.ts";

const FILE_BYTES_MAX = 4 * 1024 ** 2;

/** What the files of a listener say. */
export interface TlsMaterial {
  /** For `setSecureContext`. */
  readonly options: SecureContextOptions;
  /** Changes when a file does. */
  readonly digest: string;
  /** When the certificate of the gateway ends. */
  readonly validTo: Date;
}

type Texts = { readonly [K in keyof TlsRules["files"]]: string };

/** @throws MillraceError FILE_UNREADABLE */
export async function readTlsFiles({ files }: TlsRules): Promise<Texts> {
  const entries = Object.entries(files).map(async ([what, path]) => [what, await readText(path)] as const);
  return Object.fromEntries(await Promise.all(entries)) as Texts;
}

export function digestOf(texts: Texts): string {
  return createHash("sha256").update(JSON.stringify(texts)).digest("base64");
}

/** @throws MillraceError CERTIFICATE_INVALID naming the file */
export function materialOf(rules: TlsRules, texts: Texts): TlsMaterial {
  const { files, minVersion } = rules;
  const certificate = certificateOf(texts.certificate, files.certificate);
  const key = keyOf(texts.key, files.key);
  if (!certificate.checkPrivateKey(key)) throw invalid(`the key ${files.key} does not belong to the certificate ${files.certificate}`);
  if (texts.clientCa !== undefined) certificateOf(texts.clientCa, files.clientCa ?? "");
  const options: SecureContextOptions = {
    cert: texts.certificate,
    key: texts.key,
    minVersion,
    ...(texts.clientCa === undefined ? {} : { ca: texts.clientCa }),
    // Node reads one list of each text.
    ...(texts.clientCrl === undefined ? {} : { crl: listsOf(texts.clientCrl, files.clientCrl ?? "") }),
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new MillraceError("CERTIFICATE_INVALID", `${Object.values(files).join(", ")} cannot be used: ${messageOf(cause)}`, { cause });
  }
  return { options, digest: digestOf(texts), validTo: certificate.validToDate };
}

async function readText(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    if (bytes.length <= FILE_BYTES_MAX) return bytes.toString("latin1");
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
  throw invalid(`${path} is larger than ${FILE_BYTES_MAX} bytes`);
}

function certificateOf(text: string, path: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch {
    throw invalid(`${path} is no certificate in PEM`);
  }
}

function keyOf(text: string, path: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(text)) throw invalid(`the key ${path} has a passphrase; give one without`);
  try {
    return createPrivateKey(text);
  } catch {
    // What OpenSSL says of it could have parts of it.
    throw invalid(`${path} is no private key in PEM`);
  }
}

function listsOf(text: string, path: string): string[] {
  const lists = text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
  if (lists.length === 0) throw invalid(`${path} has no certificate revocation list in PEM`);
  return lists;
}

function invalid(message: string): MillraceError {
  return new MillraceError("CERTIFICATE_INVALID", message);
}
