// The ranked list of all customers, with the documented cut drawn where it falls.

import { ApiError, get } from "../api.js";
import { meter } from "../charts.js";
import { failure, h, show } from "../dom.js";
import { count, cutText, known, NONE, percent, plural } from "../format.js";
import { heading } from "../frame/page.js";
import { reasonWords } from "./words.js";

const PAGE = 50;
const PAUSE_MS = 250;
const HEADS = ["Customer", "Plan", "Probability of leaving", "Confidence", "Last activity", "Tenure", "Reasons"];

export const customersView = {
  path: "customers",
  section: "customers",
  title: "Customers",
  open(page) {
    const list = { page, onSignedOut: page.expired, q: "", onlyAbove: false, aborter: null, ...frame() };
    list.search.addEventListener("input", debounced(() => {
      if (list.search.value.trim() === list.q) return;
      list.q = list.search.value.trim();
      reload(list);
    }));
    list.form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of list.filters) button.addEventListener("click", () => choose(list, button));
    list.more.addEventListener("click", () => load(list));
    const refresh = () => page.busy(reload(list));
    refresh();
    return { root: h("div", { class: "page" }, heading("Customers"), list.root), refresh };
  },
};

function frame() {
  const search = h("input", { id: "search", type: "search", placeholder: "id or name@…", autocomplete: "off", spellcheck: "false", maxlength: 200 });
  const filters = [["all", "All customers"], ["above", "Above the cut"]].map(([value, text]) =>
    h("button", { type: "button", value, "aria-pressed": String(value === "all") }, text));
  const form = h("form", { class: "list-tools", role: "search" },
    h("div", { class: "filters", role: "group", "aria-label": "Which customers" }, filters),
    h("div", { class: "search" }, h("label", { for: "search" }, "Find by id or e-mail"), search));
  const body = h("tbody", { role: "rowgroup" });
  const table = h("table", { class: "list", role: "table", "aria-labelledby": "list-title", "aria-describedby": "list-note" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, HEADS.map((head) => h("th", { scope: "col", role: "columnheader" }, head)))), body);
  const tally = h("p", { class: "tally", role: "status" });
  const problem = h("div", {});
  const more = h("button", { type: "button", class: "quiet", hidden: true }, "Load more");
  const note = h("p", { class: "note", id: "list-note" });
  const root = h("section", { class: "panel wide", id: "list", "aria-labelledby": "list-title" },
    h("div", { class: "panel-head" }, h("h2", { id: "list-title" }, "Who is most likely to leave")), note, form, table, problem,
    h("div", { class: "list-foot" }, tally, more));
  return { root, form, search, filters, body, tally, problem, more, note };
}

function choose(list, button) {
  list.onlyAbove = button.value === "above";
  for (const each of list.filters) each.setAttribute("aria-pressed", String(each === button));
  // The documented list can't be searched, so searching means everyone.
  if (list.onlyAbove) { list.search.value = ""; list.q = ""; }
  list.search.disabled = list.onlyAbove;
  reload(list);
}

function reload(list) {
  list.aborter?.abort();
  Object.assign(list, { shown: 0, above: 0, next: null, page: 0, lineDrawn: false });
  list.more.hidden = true;
  list.root.classList.add("is-loading");
  return load(list);
}

async function load(list) {
  const aborter = new AbortController();
  list.aborter = aborter;
  list.more.disabled = true;
  show(list.problem);
  try {
    const answer = await ask(list, aborter.signal);
    if (list.shown === 0) show(list.body);
    append(list, answer);
    foot(list, answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof ApiError && error.isSignedOut) return list.onSignedOut();
    show(list.problem, failure(error, () => load(list)));
  }
  list.more.disabled = false;
  list.root.classList.remove("is-loading");
}

async function ask(list, signal) {
  if (list.onlyAbove) {
    list.page += 1;
    const answer = await get(`/api/customers/high-risk?page=${list.page}&limit=${PAGE}`, { signal });
    const { total, page, pages } = answer.pagination;
    return { ...answer, total, above_cut: total, next: page < pages ? page + 1 : null };
  }
  const asked = new URLSearchParams({ limit: PAGE });
  if (list.next) asked.set("after", list.next);
  if (list.q) asked.set("q", list.q);
  return get(`/api/customers?${asked}`, { signal });
}

function append(list, answer) {
  for (const customer of answer.customers) {
    const isAbove = customer.churn_probability > answer.cut;
    if (!isAbove && !list.lineDrawn && (list.above > 0 || !list.q)) drawLine(list, answer);
    list.body.append(row(customer));
    list.shown += 1;
    if (isAbove) list.above += 1;
  }
  list.next = answer.next;
  if (list.onlyAbove && !answer.next && answer.model_version) drawLine(list, answer);
}

function drawLine(list, { cut, above_cut: above }) {
  if (list.lineDrawn) return;
  list.lineDrawn = true;
  const text = above ? `The documented high-risk list ends here: above ${cutText(cut)}` : `Nobody is above ${cutText(cut)}: the documented high-risk list is empty`;
  list.body.append(h("tr", { class: "cut-row", role: "row" }, h("td", { colspan: HEADS.length, role: "cell" }, h("span", {}, text))));
}

function foot(list, answer) {
  const { total, above_cut: above, cut } = answer;
  list.more.hidden = !answer.next;
  list.filters[1].textContent = `Above ${cutText(cut)}${known(answer.as_of) ? ` (${count(above)})` : ""}`;
  if (!answer.as_of) {
    list.tally.textContent = "";
    show(list.note, "Nobody is scored yet.");
    return;
  }
  show(list.note, `Active customers, highest probability first; data of ${answer.as_of}, model ${answer.model_version}. “low” marks a prediction whose label is unsure.`);
  if (list.q) {
    list.tally.textContent = list.shown
      ? `${plural(list.shown, "customer")} ${answer.next ? "so far " : ""}with an id or e-mail that begins with “${list.q}”`
      : `No scored customer has an id or e-mail that begins with “${list.q}”.`;
    return;
  }
  const line = list.onlyAbove || list.lineDrawn ? "" : `; the cut falls after row ${count(above)}`;
  list.tally.textContent = `Showing ${count(list.shown)} of ${count(total)} customers${line}`;
}

function row(c) {
  const address = `#/customers/${encodeURIComponent(c.user_id)}`;
  const cell = (index, kind, ...content) => h("td", { role: "cell", class: kind, "data-head": HEADS[index] }, ...content);
  return h("tr", { role: "row", onclick: (event) => open(event, address) },
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: address }, c.user_id)),
    cell(1, "plan", c.plan ?? NONE),
    cell(2, "risk", h("div", { class: "risk-bar" }, h("span", { class: "amount" }, percent(c.churn_probability)), meter(c.churn_probability, c.risk_level.toLowerCase()))),
    cell(3, "confidence", percent(c.confidence), c.low_confidence && h("span", { class: "badge warn", title: "The predicted label is unsure" }, "low")),
    cell(4, "", c.last_activity ?? NONE),
    cell(5, "", known(c.tenure_months) ? plural(c.tenure_months, "month") : NONE),
    cell(6, "reasons", h("ul", {}, c.reasons.map((r) => h("li", {}, reasonWords(r))))));
}

function open(event, address) {
  if (event.target.closest("a") || window.getSelection()?.toString()) return;
  window.location.hash = address;
}

function debounced(action) {
  let timer = 0;
  return () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(action, PAUSE_MS);
  };
}
