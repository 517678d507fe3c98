import { statSync } from "node:fs";
import { messageOf } from "../../core/errors.ts";
import { type Secret, type SecretsPlace, readSecrets } from "./secret-file.ts";

/** The secrets of a gateway, as `millrace secrets` keeps them. A change of the file counts from the next look on. */
export class SecretStore {
  readonly #place: SecretsPlace;
  #seen = "";
  #secrets: ReadonlyMap<string, Secret> = new Map();

  constructor(place: SecretsPlace) {
    this.#place = place;
  }

  /** Undefined when there is none. @throws MillraceError SECRETS_UNREADABLE, SECRETS_CORRUPT */
  get(name: string): string | undefined {
    this.#look();
    return this.#secrets.get(name)?.value;
  }

  /** Reads the file when it is another one than the last time; so a failure comes again each time. */
  #look(): void {
    const seen = lookAt(this.#place.file);
    if (seen === this.#seen) return;
    this.#secrets = new Map();
    this.#secrets = readSecrets(this.#place);
    this.#seen = seen;
  }
}

/** Something else whenever the file has changed. */
function lookAt(file: string): string {
  try {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? "none" : `${found.ino} ${found.mtimeNs} ${found.size}`;
  } catch (error) {
    return messageOf(error); // Whoever reads it then says what is wrong.
  }
}
