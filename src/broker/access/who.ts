import type { Subject } from "./identity.ts";
import type { Rule } from "./rules-file.ts";

/** Whether a rule is about a client: everything that it names has to hold, and of each list one item. Only rules that name functions are about functions. */
export function applies(who: Rule["who"], { user, groups, client, address, function: name }: Subject): boolean {
  if (name !== undefined) return who?.function?.some((pattern) => isLike(pattern, name)) === true;
  if (who === undefined) return true;
  if (who.function !== undefined) return false;
  if (who.anonymous === true && user !== undefined) return false;
  return (
    (who.user === undefined || (user !== undefined && who.user.some((pattern) => isLike(pattern, user)))) &&
    (who.group === undefined || who.group.some((group) => groups.includes(group))) &&
    (who.client === undefined || who.client.some((pattern) => isLike(pattern, client))) &&
    (who.address === undefined || (address !== undefined && who.address.some((range) => range(address))))
  );
}

/** `*` stands for any rest. */
function isLike(pattern: string, text: string): boolean {
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
}
