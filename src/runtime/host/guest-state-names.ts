/** What stands for no key: what is kept under it belongs to the function. No message has it. */
export const SHARED_KEY = "";

/** Under this name a key has the version of the code that has written its values, see guest-state-version.ts. No function can write it. */
export const VERSION_NAME = "";

/** @throws TypeError when a value cannot have this name */
export function nameOf(name: unknown): string {
  // A name that is no Unicode text would be another one when it comes back from the disk.
  if (typeof name !== "string" || name.length === 0 || name.length > 1024 || !name.isWellFormed()) {
    throw new TypeError("the name of a state value is a text of 1 to 1,024 characters");
  }
  return name;
}

/** For errors. */
export function ownerText(functionName: string, key: string): string {
  return key === SHARED_KEY ? `function "${functionName}", shared state` : `function "${functionName}", key "${key}"`;
}
