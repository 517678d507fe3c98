import { type ErrorCode, MillraceError } from "../../core/errors.ts";
import { Redactor } from "./redactor.ts";

/** Where secrets are kept. @throws MillraceError SECRETS_UNREADABLE, SECRETS_CORRUPT */
export interface SecretSource {
  get(name: string): string | undefined;
}

interface SecretProblem {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What one version of a function may have of the secrets of its gateway. */
export class FunctionSecrets {
  readonly #function: string;
  readonly #names: readonly string[];
  readonly #source: SecretSource;
  readonly #redactor = new Redactor();

  constructor(about: { readonly name: string; readonly names: readonly string[] }, source: SecretSource) {
    this.#function = about.name;
    this.#names = about.names;
    this.#source = source;
  }

  /** @throws MillraceError PERMISSION_DENIED, SECRET_MISSING, SECRETS_UNREADABLE, SECRETS_CORRUPT */
  get(name: unknown): string {
    const known = this.#names.find((each) => each === name);
    if (known === undefined) {
      throw new MillraceError("PERMISSION_DENIED", `function "${this.#function}" asks for a secret that permissions.secrets does not name`);
    }
    const value = this.#source.get(known);
    if (value === undefined) throw new MillraceError("SECRET_MISSING", this.#missing(known));
    this.#redactor.know(known, value);
    return value;
  }

  /** What there is to say about those that it cannot have now. */
  problems(): SecretProblem[] {
    return this.#names.flatMap((name) => {
      try {
        this.get(name);
        return [];
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        return [{ code: error.code, message: error.message }];
      }
    });
  }

  /** Without the secrets that it may have had. */
  redact(text: string): string {
    return this.#redactor.redact(text);
  }

  #missing(name: string): string {
    return `function "${this.#function}" needs the secret "${name}", which is not set on this gateway; set it with: millrace secrets set ${name}`;
  }
}
