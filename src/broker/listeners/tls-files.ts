import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { TlsRules } from "./rules.ts";

const FILE_BYTES_MAX = 4 * 1024 ** 2;

/** Labels of PEM, as OpenSSL knows them. */
const CERTIFICATE = "(?:X509 |TRUSTED )?CERTIFICATE";
const LIST = "X509 CRL";

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

/**
 * Everything has to be whole: of a file that is half written OpenSSL would take what comes before the damage, and leave out a CA or a revocation list.
 * @throws MillraceError CERTIFICATE_INVALID naming the file
 */
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
    ...(texts.clientCrl === undefined ? {} : { crl: [...listsOf(texts.clientCrl, files.clientCrl ?? "")] }),
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

/** The first one, which is that of the listener; those behind it are looked at too. */
function certificateOf(text: string, path: string): X509Certificate {
  const blocks = blocksOf(text, CERTIFICATE);
  if (blocks === undefined) throw invalid(`${path} has a certificate in it that is damaged`);
  const [first] = blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw invalid(`${path} has a certificate in it that is damaged`);
    }
  });
  if (first === undefined) throw invalid(`${path} is no certificate in PEM`);
  return first;
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

function listsOf(text: string, path: string): readonly string[] {
  const lists = blocksOf(text, LIST);
  if (lists === undefined) throw invalid(`${path} has a certificate revocation list in it that is damaged`);
  if (lists.length === 0) throw invalid(`${path} has no certificate revocation list in PEM`);
  return lists;
}

/** What is between a BEGIN and its END (RFC 7468), with both; undefined when one of them is cut off. */
function blocksOf(text: string, label: string): readonly string[] | undefined {
  const begins = text.match(new RegExp(`-----BEGIN ${label}-----`, "g")) ?? [];
  const blocks = text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, "g")) ?? [];
  return begins.length === blocks.length ? blocks : undefined;
}

function invalid(message: string): MillraceError {
  return new MillraceError("CERTIFICATE_INVALID", message);
}
