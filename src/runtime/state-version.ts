import { MillraceError } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";

interface Recorded {
  readonly version: number;
  readonly stateVersion?: number;
}

/** What is to be recorded of a version that takes over. */
export function recordedState({ state }: Manifest): Pick<Recorded, "stateVersion"> {
  return state === undefined || state.version === 1 ? {} : { stateVersion: state.version };
}

/** @throws MillraceError STATE_NEWER when a version has run that understands more than this one */
export function refuseOlderState({ name, state }: Manifest, recorded: Recorded | undefined): void {
  const [stored, known] = [recorded?.stateVersion ?? 1, state?.version ?? 1];
  if (known >= stored) return;
  throw new MillraceError(
    "STATE_NEWER",
    `version ${recorded?.version} of "${name}" has brought its state to version ${stored}, and this one has \`state: {version: ${known}}\`; ` +
      `publish a version with \`state: {version: ${stored}}\` or a higher one, whose code reads what is stored`,
  );
}
