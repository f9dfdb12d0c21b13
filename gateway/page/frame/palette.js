// Search and commands on one key: views, what can be started, and customers by the beginning of their id or e-mail.

import { get } from "../api.js";
import { h, show } from "../dom.js";
import { SECTIONS, VIEWS } from "../views.js";
import { maySee } from "./frame.js";
import { address, customerAddress } from "./router.js";

const PAUSE_MS = 180;
const MOST = 8;
const HINT = "Type an id, an e-mail, a view or a command. Arrows choose, Enter opens.";

/** The dialog; `commands` answers what can be done now as { title, run }. */
export function makePalette({ user, commands }) {
  const input = h("input", {
    id: "palette", type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: 200, "aria-autocomplete": "list",
    "aria-expanded": "true", "aria-controls": "palette-list", placeholder: "Customer, view or command",
  });
  const list = h("ul", { id: "palette-list", role: "listbox", "aria-label": "Found" });
  const tally = h("p", { class: "fine", role: "status" });
  const dialog = h("dialog", { class: "palette", "aria-label": "Search and commands" },
    h("label", { class: "unseen", for: "palette" }, "Search and commands"), input, list, tally);
  const state = { options: [], at: 0, timer: 0, aborter: null };
  const parts = { dialog, input, list, tally, state, user, commands };
  input.addEventListener("input", () => search(parts));
  input.addEventListener("keydown", (event) => key(parts, event));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  window.addEventListener("keydown", (event) => { if (isTheKey(event)) { event.preventDefault(); open(parts); } });
  return { root: dialog, open: () => open(parts) };
}

/** "/" where nobody types, or Ctrl or Cmd with K anywhere. */
function isTheKey(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") return true;
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  return event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
}

function open(parts) {
  if (!parts.dialog.isConnected || parts.dialog.open) return;
  parts.input.value = "";
  parts.dialog.showModal();
  search(parts);
}

function search(parts) {
  const { state, input } = parts;
  const words = input.value.trim();
  const fixed = [...places(parts.user), ...parts.commands()].filter(({ title }) => title.toLowerCase().includes(words.toLowerCase()));
  draw(parts, fixed.slice(0, MOST), HINT);
  window.clearTimeout(state.timer);
  state.aborter?.abort();
  if (words) state.timer = window.setTimeout(() => findCustomers(parts, words, fixed), PAUSE_MS);
}

async function findCustomers(parts, words, fixed) {
  const aborter = new AbortController();
  parts.state.aborter = aborter;
  try {
    const asked = new URLSearchParams({ q: words, scored: "any", limit: MOST });
    const { customers } = await get(`/api/customers?${asked}`, { signal: aborter.signal });
    const found = customers.map((c) => ({
      kind: "Customer", title: c.user_id, more: [c.email, c.plan].filter(Boolean).join(" · "), run: () => go(customerAddress(c.user_id)),
    }));
    const nothing = `Nothing begins with “${words}”.`;
    draw(parts, [...found, ...fixed].slice(0, MOST), found.length + fixed.length ? HINT : nothing);
  } catch (error) {
    if (error.name !== "AbortError") parts.tally.textContent = error.message;
  }
}

const go = (hash) => { window.location.hash = hash; };

function places(user) {
  return VIEWS.filter((view) => view.tab !== false && !view.path.includes(":") && maySee(view, user)).map((view) => {
    const section = SECTIONS.find(({ id }) => id === view.section).title;
    const title = section === view.title ? section : `${section}: ${view.title}`;
    return { kind: "View", title, run: () => go(address(view.path)) };
  });
}

function draw(parts, options, said) {
  const { list, tally, state } = parts;
  state.options = options;
  state.at = 0;
  show(list, options.map((option, i) =>
    h("li", { id: `found-${i}`, role: "option", "aria-selected": "false", onclick: () => choose(parts, i) },
      h("span", { class: "fine kind" }, option.kind), h("span", {}, option.title), option.more && h("span", { class: "fine" }, option.more))));
  tally.textContent = said;
  mark(parts);
}

function mark({ list, input, state }) {
  for (const [i, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(i === state.at));
  const now = list.children[state.at];
  if (now) input.setAttribute("aria-activedescendant", now.id);
  else input.removeAttribute("aria-activedescendant");
  now?.scrollIntoView({ block: "nearest" });
}

function key(parts, event) {
  const { state } = parts;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && state.options.length) {
    event.preventDefault();
    state.at = (state.at + step + state.options.length) % state.options.length;
    mark(parts);
  } else if (event.key === "Enter") {
    event.preventDefault();
    choose(parts, state.at);
  }
}

function choose({ dialog, state }, index) {
  const option = state.options[index];
  if (!option) return;
  dialog.close();
  option.run();
}
