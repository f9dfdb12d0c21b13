// Small parts that many views are made of: a figure with its help, a labelled field, a table, a menu of choices.

import { h } from "./dom.js";
import { help } from "./frame/help.js";

let made = 0;

/** A figure: what it is, its value, what it needs to be judged, and its definition at a press. */
export function stat({ label, value, note = null, term = null, judge = [], id = null }) {
  return h("div", { class: "stat" },
    h("dt", {}, label, term && help(term, label, judge)),
    h("dd", {}, h("span", { class: "stat-value", "data-figure": id }, value), note && h("span", { class: "fine" }, note)));
}

/** Figures side by side. */
export const stats = (...each) => h("dl", { class: "stats" }, each.filter(Boolean).map(stat));

/** A labelled input, select or text area; `hint` stands below it; a `roomy` one is as wide as two. */
export function field(label, input, { hint = null, wide = false, roomy = false } = {}) {
  made += 1;
  input.id ||= `field-${made}`;
  if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
  return h("div", { class: wide ? "field wide" : roomy ? "field roomy" : "field" },
    h("label", { for: input.id }, label), input, hint && h("p", { class: "fine", id: `${input.id}-hint` }, hint));
}

/** A checkbox and its label. */
export function check(label, { checked = false, name = null, onchange = null } = {}) {
  made += 1;
  const id = `check-${made}`;
  const input = h("input", { type: "checkbox", id, name, checked, onchange });
  return { root: h("div", { class: "check" }, input, h("label", { for: id }, label)), input };
}

/** A select of [value, text] pairs. */
export function select(options, value, attributes = {}) {
  return h("select", attributes, options.map(([each, text]) => h("option", { value: each, selected: String(each) === String(value ?? "") }, text)));
}

/** A table; `heads` are texts, or { text, numeric, aside }, where aside stands beside the text; cells may be nodes. The first cell of a row heads it. */
export function table(caption, heads, rows, { kind = "plain" } = {}) {
  const shown = heads.map((head) => (typeof head === "string" ? { text: head } : head));
  return h("div", { class: "scrolls", tabindex: 0, role: "group", "aria-label": caption },
    h("table", { class: kind },
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, shown.map((head) => h("th", { scope: "col", class: head.numeric ? "numeric" : null }, head.text || h("span", { class: "unseen" }, head.unseen ?? "Actions"), head.aside)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => {
        const kind = shown[i]?.numeric ? "numeric" : null;
        return i === 0 ? h("th", { scope: "row", class: kind }, cell) : h("td", { class: kind }, cell);
      }))))));
}

/** A button of the usual kind. */
export const button = (text, onclick, { kind = "quiet small", ...more } = {}) =>
  h("button", { type: "button", class: kind, onclick, ...more }, text);

/** Run an action from a button: once at a time, and an error is told in `place`. A disabled button would lose the focus. */
export async function act(trigger, place, action, tell) {
  if (trigger.getAttribute("aria-disabled") === "true") return;
  trigger.setAttribute("aria-disabled", "true");
  try {
    await action();
  } catch (error) {
    if (!error.code) throw error;
    place.replaceChildren(tell(error));
  } finally {
    trigger.removeAttribute("aria-disabled");
  }
}

/** A secret that is shown this once: it goes with the view, which Back would show again. */
export function shownOnce(text, secret, id) {
  const notice = h("div", { class: "notice good", role: "status", id, tabindex: -1 }, h("p", {}, text), h("code", {}, secret));
  window.addEventListener("hashchange", () => notice.remove(), { once: true });
  return notice;
}
