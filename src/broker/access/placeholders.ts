/** Cannot stand in a topic filter without changing what it means. */
const UNFIT = /[/+#\0]/;

/**
 * The filter with `%u` and `%c` replaced and `%%` as `%`. Undefined when it has another `%`, and when somebody has no user name, or one that would
 * become more than a part of one level.
 */
export function withPlaceholders(
  filter: string,
  { user, client }: { readonly user: string | undefined; readonly client: string },
): string | undefined {
  if (!filter.includes("%")) return filter;
  let fits = true;
  const text = filter.replaceAll(/%(.?)/g, (_, letter: string) => {
    if (letter === "%") return "%";
    const value = letter === "u" ? user : letter === "c" ? client : undefined;
    if (value === undefined || value === "" || UNFIT.test(value)) fits = false;
    return value ?? "";
  });
  return fits ? text : undefined;
}

/** The filter with `+` for each level that has a placeholder: everything that it could come to for anybody. */
export function widened(filter: string): string {
  return filter
    .split("/")
    .map((level) => (/%[uc]/.test(level.replaceAll("%%", "")) ? "+" : level.replaceAll("%%", "%")))
    .join("/");
}
