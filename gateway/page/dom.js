// Building elements. Text only ever enters the page as text nodes, so that data can't become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("p", { class: "note", onclick: f }, "text", child)`. Attributes of null or false are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, by the same rules. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put these in place of what an element holds. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
  return element;
}

/** A failure: what went wrong, the request id that finds it in the log, and a way to try again. */
export function failure(error, again = null) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", {}, error.message),
    error.requestId && h("p", { class: "fine" }, "Request ", h("code", {}, error.requestId)),
    again && h("button", { type: "button", class: "quiet", onclick: again }, "Try again"),
  );
}

/** Lines that stand in while something loads. */
export function loading(lines = 3) {
  return h(
    "div",
    { class: "skeleton", role: "status" },
    h("span", { class: "unseen" }, "Loading"),
    Array.from({ length: lines }, () => h("span", { class: "bone", "aria-hidden": "true" })),
  );
}

/** A titled panel whose content loads by itself: `draw` answers its children. */
export function panel(title, { id, note = null, wide = false, aside = null }) {
  const body = h("div", { class: "panel-body" }, loading());
  const head = h("div", { class: "panel-head" }, h("h2", { id: `${id}-title` }, title), aside);
  const root = h(
    "section",
    { class: wide ? "panel wide" : "panel", id, "aria-labelledby": `${id}-title` },
    head,
    note && h("p", { class: "note" }, note),
    body,
  );
  return { root, body };
}
