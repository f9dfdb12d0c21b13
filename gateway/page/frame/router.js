// Where somebody is: the part of the address after # names a view and holds its whole state, so that it can be sent.

/** Take an address apart: "#/customers?plan=Basic" -> { path: "customers", query }. */
export function parse(hash = window.location.hash) {
  const [path, ...search] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.replace(/\/+$/, ""), query: new URLSearchParams(search.join("?")) };
}

/** Put an address together; values of null or "" are left out, a list gives its key several times. */
export function address(path, state = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") query.append(key, String(each));
    }
  }
  const text = query.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

/** The address of one customer. */
export const customerAddress = (id, state) => address(`customers/${encodeURIComponent(id)}`, state);

/** The address of who entered or left the list above the cut between two dates. */
export const riskAddress = (since, until, direction = null) => address("customers/new-at-risk", { since, until, direction });

/** The view for a path and what its pattern names: "customers/:id" fits "customers/usr_1" with { id: "usr_1" }; or null. */
export function match(views, path) {
  for (const view of views) {
    const params = fits(view.path, path);
    if (params) return { view, params };
  }
  return null;
}

function fits(pattern, path) {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  const params = {};
  for (const [i, part] of wanted.entries()) {
    if (part.startsWith(":") && given[i]) params[part.slice(1)] = decoded(given[i]);
    else if (part !== given[i]) return null;
  }
  return params;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
