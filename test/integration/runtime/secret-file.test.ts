import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSecrets, rekeySecrets, type SecretsPlace, secretsPlace, updateSecrets } from "../../../src/runtime/secrets/secret-file.ts";
import { SecretStore } from "../../../src/runtime/secrets/secret-store.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const VALUE = "a very secret value";

describe("the file of secrets", () => {
  let folder: TempFolder;
  let place: SecretsPlace;
  beforeEach(async () => {
    folder = await TempFolder.make();
    place = secretsPlace(folder.join("data"), folder.join("elsewhere/key"));
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  const set = (name: string, value = VALUE): Promise<void> => updateSecrets(place, (all) => all.set(name, { value, setAt: 1 }));
  const values = (): unknown[] => [...readSecrets(place)].map(([name, { value }]) => [name, value]);

  it("begins empty, and keeps what is set, for its owner only", async () => {
    expect(values()).toEqual([]);
    await set("A");
    await set("B", "another value");
    await updateSecrets(place, (all) => all.delete("A"));
    expect(values()).toEqual([["B", "another value"]]);
    for (const file of [place.file, place.keyFile]) expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(secretsPlace("/data", "").keyFile).toBe("/data/secrets.key");
  });

  it("shows neither names nor values", async () => {
    await set("API_KEY");
    const bytes = await readFile(place.file);
    expect(bytes.includes(VALUE)).toBe(false);
    expect(bytes.includes("API_KEY")).toBe(false);
    await set("API_KEY");
    expect((await readFile(place.file)).equals(bytes)).toBe(false);
  });

  it("is of no use without its key, or with another one", async () => {
    await set("A");
    const key = await readFile(place.keyFile);
    const without = { ...place, keyFile: folder.join("none") };
    expect(() => readSecrets(without)).toThrow(expect.objectContaining({ code: "SECRETS_UNREADABLE" }));
    await expect(updateSecrets(without, (all) => all.clear())).rejects.toMatchObject({ code: "SECRETS_UNREADABLE" });
    await writeFile(place.keyFile, "nonsense");
    expect(() => readSecrets(place)).toThrow(expect.objectContaining({ code: "SECRETS_UNREADABLE" }));
    const other = secretsPlace(folder.join("other"), "");
    await updateSecrets(other, (all) => all.set("A", { value: VALUE, setAt: 1 }));
    expect(() => readSecrets({ ...place, keyFile: other.keyFile })).toThrow(/another one than it was encrypted with/);
    await writeFile(place.keyFile, key);
    expect(values()).toEqual([["A", VALUE]]);
  });

  it("is not used with a key that others may read", async () => {
    await set("A");
    await chmod(place.keyFile, 0o640);
    expect(() => readSecrets(place)).toThrow(/chmod 600/);
  });

  it("is refused when any byte of it was changed, or its end is missing", async () => {
    await set("A");
    const bytes = await readFile(place.file);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await writeFile(place.file, changed);
      expect(() => readSecrets(place)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^SECRETS_(CORRUPT|UNREADABLE)$/) as string }),
      );
    }
    for (const length of [0, 5, 43, bytes.length - 1]) {
      await writeFile(place.file, bytes.subarray(0, length));
      expect(() => readSecrets(place)).toThrow(expect.objectContaining({ code: "SECRETS_CORRUPT" }));
    }
  });

  it("gets a new key, and what was encrypted with the old one is of no use to it", async () => {
    await set("A");
    const [bytes, key] = [await readFile(place.file), await readFile(place.keyFile, "utf8")];
    await rekeySecrets(place);
    expect(values()).toEqual([["A", VALUE]]);
    expect(await readFile(place.keyFile, "utf8")).not.toContain(key.trim());
    await writeFile(place.file, bytes);
    expect(() => readSecrets(place)).toThrow(expect.objectContaining({ code: "SECRETS_UNREADABLE" }));
  });

  it("is readable at every moment of a change of keys", async () => {
    await set("A");
    const [oldFile, oldKey] = [await readFile(place.file), await readFile(place.keyFile, "utf8")];
    await rekeySecrets(place);
    const newKey = await readFile(place.keyFile, "utf8");
    const newFile = await readFile(place.file);
    for (const file of [oldFile, newFile]) {
      await writeFile(place.keyFile, newKey + oldKey);
      await writeFile(place.file, file);
      expect(values()).toEqual([["A", VALUE]]);
    }
  });

  it("loses nothing when many change it at once", async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => set(`S${index}`)));
    expect(values()).toHaveLength(20);
  });

  it("is looked at again by a gateway when it has changed", async () => {
    const store = new SecretStore(place);
    expect(store.get("A")).toBeUndefined();
    await set("A");
    expect(store.get("A")).toBe(VALUE);
    await set("A", "a newer value");
    expect(store.get("A")).toBe("a newer value");
    await rekeySecrets(place);
    expect(store.get("A")).toBe("a newer value");
    await writeFile(place.file, "nonsense");
    for (let look = 0; look < 2; look++) expect(() => store.get("A")).toThrow(expect.objectContaining({ code: "SECRETS_CORRUPT" }));
    await updateSecrets({ ...place, file: folder.join("b") }, (all) => all.set("A", { value: VALUE, setAt: 1 }));
    await writeFile(place.file, await readFile(folder.join("b")));
    expect(store.get("A")).toBe(VALUE);
  });
});
