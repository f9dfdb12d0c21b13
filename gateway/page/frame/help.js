// Help on a figure: its definition, in a box that every figure's button opens.

import { h, show } from "../dom.js";

const box = h("aside", { class: "help-box", id: "help", popover: "auto", role: "dialog", "aria-label": "Definition" });

/** Put the box on the page, once. */
export const helpBox = () => box;

/** A button that tells what `label` means; `facts` are lines of what a figure needs to be judged (date, n, interval). */
export function help(term, label, facts = []) {
  return h("button", {
    type: "button", class: "help", "aria-haspopup": "dialog", "aria-label": `What does “${label}” mean?`, "data-term": term,
    onclick: (event) => { event.preventDefault(); open(term, facts.filter(Boolean)); },
  }, "?");
}

async function open(term, lines) {
  const { TERMS } = await import("./terms.js"); // loaded when the first reader asks
  const { title, text, anchor } = TERMS[term];
  const close = h("button", { type: "button", class: "quiet small", onclick: () => box.hidePopover() }, "Close");
  show(box,
    h("div", { class: "help-head" }, h("h2", {}, title), close),
    text.map((paragraph) => h("p", {}, paragraph)),
    lines.length > 0 && h("ul", { class: "help-facts" }, lines.map((line) => h("li", {}, line))),
    h("p", { class: "fine" }, "From docs/definitions.md, ", h("code", {}, `#${anchor}`)));
  box.showPopover();
  close.focus();
}
