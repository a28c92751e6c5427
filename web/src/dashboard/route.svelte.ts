/** Which view is looked at: the part of the address after `#`, so that the page works from any path and from a file. */

interface Route {
  /** `#/runs/first/samples` is ["runs", "first", "samples"]. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

let shown = location.hash;
let current = $state.raw(parse(shown));
addEventListener("hashchange", follow);

function follow(): void {
  shown = location.hash;
  current = parse(shown);
}

/** Reactive. */
export function route(): Route {
  return current;
}

/** The address of a view, for `href`. */
export function link(
  path: readonly string[],
  query: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of typeof value === "string" ? [value] : (value ?? [])) search.append(name, one);
  }
  return `#/${path.map(encodeURIComponent).join("/")}${search.size > 0 ? `?${search}` : ""}`;
}

/**
 * Goes on without a new entry in the history: for what is set within a view. Does nothing where the address has moved on
 * already, which the page hears of only in its next event: a link that was just pressed would lead nowhere.
 */
export function replace(href: string): void {
  if (location.hash !== shown) return;
  history.replaceState(history.state, "", href);
  follow();
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
