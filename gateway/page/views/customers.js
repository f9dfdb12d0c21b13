// The list of customers: filters, order, columns and how far somebody has read stand in the address.

import { get } from "../api.js";
import { meter } from "../charts.js";
import { failure, h, loading, show } from "../dom.js";
import { count, cutText, day, known, mailto, money, NONE, percent, plural } from "../format.js";
import { heading, noExport, redraw } from "../frame/page.js";
import { customerAddress } from "../frame/router.js";
import { check } from "../parts.js";
import { makeChoice } from "./bulk.js";
import { caught } from "./contact.js";
import { asked, chips, featuresOf, filterForm, quickFilters } from "./filters.js";
import { remember } from "./neighbours.js";
import { savedBar } from "./saved.js";
import { workWords } from "./work.js";
import { reasonWords } from "./words.js";

const PAGE = 50;
const PAUSE_MS = 250;
const RANKS = [0.01, 0.05, 0.2];
/** Columns: what stands in the head, by which the API sorts, and the cell. */
const COLUMNS = {
  email: { head: "E-mail", cell: (c) => (c.email ? h("a", { href: mailto(c.email) }, c.email) : NONE) },
  plan: { head: "Plan", cell: (c) => c.plan ?? NONE },
  probability: { head: "Probability of leaving", sort: "churn_probability", cell: risk },
  revenue: { head: "Revenue at risk", sort: "revenue_at_risk", numeric: true, cell: (c, currency) => money(c.revenue_at_risk, currency) },
  price: { head: "Price", sort: "monthly_price", numeric: true, cell: (c, currency) => money(c.monthly_price, currency) },
  activity: { head: "Last activity", sort: "last_activity", cell: (c) => c.last_activity ?? NONE },
  tenure: { head: "Tenure", sort: "tenure_months", cell: (c) => (known(c.tenure_months) ? plural(c.tenure_months, "month") : NONE) },
  work: { head: "Worklist", cell: (c) => (c.work ? [workWords(c.work.status), c.work.due_on && h("div", { class: "fine" }, `due ${day(c.work.due_on)}`)] : NONE) },
  reasons: { head: "Reasons", cell: (c) => h("ul", {}, c.reasons.map((r) => h("li", {}, reasonWords(r)))) },
};
const USUAL = ["plan", "probability", "revenue", "activity", "tenure", "reasons"];

export const view = {
  open(page) {
    const list = { page, next: null, shown: 0, ids: [], ...frame(page) };
    if (page.mayRun) {
      list.choice = makeChoice(page, () => page.busy(reload(list)));
      list.tools.append(list.choice.root);
    }
    const refresh = () => {
      if (document.activeElement !== list.search) list.search.value = page.query.get("q") ?? "";
      list.saved.draw();
      return page.busy(reload(list));
    };
    list.more.addEventListener("click", () => page.busy(more(list)));
    list.search.addEventListener("input", debounced(() => page.go({ q: list.search.value.trim() }, { replace: true })));
    refresh();
    page.busy(list.saved.refresh()).catch((error) => told(list, error, list.saved.refresh));
    return { root: list.root, refresh };
  },
};

function risk(c) {
  return h("div", { class: "risk-bar" },
    h("span", { class: "amount" }, percent(c.churn_probability)), meter(c.churn_probability ?? 0, "plain"),
    c.low_confidence && h("span", { class: "badge warn", title: "The predicted label is unsure" }, "unsure"));
}

function frame(page) {
  const search = h("input", { id: "search", type: "search", placeholder: "id or name@…", autocomplete: "off", spellcheck: "false", maxlength: 200, value: page.query.get("q") ?? "" });
  const filters = h("div", {});
  const quick = h("div", { class: "quick" });
  const chosen = h("div", { class: "chips" });
  const table = h("div", { class: "list-place" });
  const tally = h("p", { class: "tally", role: "status" });
  const problem = h("div", {});
  const moreButton = h("button", { type: "button", class: "quiet", hidden: true }, "Load more");
  const note = h("p", { class: "note", id: "list-note" });
  const exports = h("div", { class: "buttons" });
  const saved = savedBar(page);
  const tools = h("div", {});
  const root = h("div", { class: "page" },
    heading("Customers", { note, actions: [exports] }),
    saved.root,
    h("section", { class: "panel wide", id: "list", "aria-label": "Customers, filtered" },
      h("div", { class: "list-tools" },
        h("div", { class: "search" }, h("label", { for: "search" }, "Find by id or e-mail"), search), quick, columnMenu(page)),
      h("details", { class: "more", id: "filters", open: page.query.has("filters") }, h("summary", {}, "More filters"), filters),
      chosen, tools, table, problem, h("div", { class: "list-foot pager" }, tally, moreButton)));
  return { root, search, filters, quick, chosen, table, tally, problem, more: moreButton, note, exports, saved, tools };
}

const columnsOf = (query) => (query.get("cols")?.split(",").filter((name) => name in COLUMNS) ?? USUAL);

function columnMenu(page) {
  const toggle = (name) => {
    const now = columnsOf(page.query);
    const next = Object.keys(COLUMNS).filter((each) => (each === name ? !now.includes(each) : now.includes(each)));
    page.go({ cols: next.join(",") === USUAL.join(",") ? null : next.join(",") || "plan" }, { replace: true });
  };
  const now = columnsOf(page.query);
  return h("details", { class: "more" }, h("summary", {}, "Columns"),
    h("div", { class: "form" }, Object.entries(COLUMNS).map(([name, { head }]) => check(head, { checked: now.includes(name), onchange: () => toggle(name) }).root)));
}

/** Plans, features and ranks, asked for once: they make the filters. */
async function askFilters(list) {
  const [schema, value, found] = await Promise.all([get("/api/schema"), get("/api/dashboard/value"), get("/api/dashboard/threshold?steps=true")]);
  list.features = featuresOf(schema);
  list.currency = value.total.currency;
  const plans = value.by_plan.map(({ plan }) => plan).filter(Boolean);
  const priorities = (found.steps ?? []).length ? RANKS.map((share) => {
    const { cut } = caught(found.steps, Math.ceil(found.all_customers * share));
    return [Math.round(cut * 1000) / 10, `Top ${share * 100} % by rank (from ${cutText(cut)})`];
  }) : [];
  list.about = { features: list.features, plans, priorities };
}

/** The fields say what the address says, also after Back and where a chip was taken away. */
function drawFilters(list) {
  const now = asked(list.page.query, { withSort: false }).toString();
  if (now === list.filtered) return; // what somebody has begun to fill in stays
  list.filtered = now;
  redraw(list.filters, [filterForm(list.page, list.about)]);
  redraw(list.quick, quickFilters(list.page, list.about));
}

async function reload(list) {
  list.more.hidden = true;
  list.root.classList.add("is-loading");
  if (!list.table.childElementCount) show(list.table, loading(8));
  try {
    if (!list.features) await askFilters(list);
    drawFilters(list);
    fromTheTop(list);
    const answer = await ask(list);
    show(list.problem);
    redraw(list.chosen, chips(list.page, list.features));
    list.choice?.reset();
    redraw(list.table, [table(list)]);
    append(list, answer);
  } catch (error) {
    told(list, error, () => reload(list));
  }
  list.root.classList.remove("is-loading");
}

/** The first page is asked for next, and what was asked before is not waited for: others may have asked while the filters loaded. */
function fromTheTop(list) {
  list.aborter?.abort();
  const isRanked = [...asked(list.page.query)].every(([key, value]) => key === "sort" && value === "-churn_probability");
  Object.assign(list, { shown: 0, next: null, ids: [], hasLine: isRanked, lineDrawn: false });
}

/** The next page; the focus goes to its first customer, so that a keyboard goes on from there. */
async function more(list) {
  const before = list.shown;
  list.more.setAttribute("aria-disabled", "true");
  try {
    append(list, await ask(list));
    list.body.querySelectorAll("th a")[before]?.focus();
  } catch (error) {
    told(list, error, () => more(list));
  }
  list.more.removeAttribute("aria-disabled");
}

function told(list, error, again) {
  if (error.name === "AbortError") return;
  if (error.isSignedOut) return list.page.expired();
  if (!error.code) throw error;
  if (list.shown === 0) show(list.table);
  show(list.problem, failure(error, again));
}

async function ask(list) {
  const aborter = new AbortController();
  list.aborter = aborter;
  const wanted = asked(list.page.query);
  wanted.set("limit", PAGE);
  if (list.next) wanted.set("after", list.next);
  const answer = await get(`/api/customers?${wanted}`, { signal: aborter.signal });
  aborter.signal.throwIfAborted(); // the answer may have come just before
  return answer;
}

function table(list) {
  const { query } = list.page;
  const names = columnsOf(query);
  const sorted = query.get("sort") ?? "-churn_probability";
  list.columns = names;
  list.body = h("tbody", { role: "rowgroup" });
  return h("table", { class: "list", role: "table", "aria-label": "Customers", "aria-describedby": "list-note" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      list.choice && h("td", { role: "cell" }), head(list, { head: "Customer", sort: "user_id" }, sorted), names.map((name) => head(list, COLUMNS[name], sorted)))), list.body);
}

/** The head of a column; where the API sorts by it, a button that turns the order. */
function head(list, { head: text, sort, numeric }, sorted) {
  const by = sorted.replace(/^-/, "");
  const state = sort && sort === by ? (sorted.startsWith("-") ? "descending" : "ascending") : null;
  const turn = () => list.page.go({ sort: state === "descending" ? sort : state === "ascending" || sort !== "user_id" ? `-${sort}` : sort });
  return h("th", { scope: "col", role: "columnheader", class: numeric ? "numeric" : null, "aria-sort": state },
    sort ? h("button", { type: "button", class: "sort", "aria-label": text, onclick: turn }, text, h("span", { "aria-hidden": "true" }, { descending: "\u00a0↓", ascending: "\u00a0↑" }[state] ?? "")) : text);
}

function append(list, answer) {
  for (const customer of answer.customers) {
    if (list.hasLine && !list.lineDrawn && customer.churn_probability <= answer.cut) list.body.append(cutLine(list, answer));
    list.body.append(row(list, customer));
    list.ids.push(customer.user_id);
  }
  list.shown += answer.customers.length;
  list.next = answer.next;
  remember(asked(list.page.query), list.ids, answer.next);
  list.choice?.drawn(answer.total_is_exact ? answer.total : null);
  foot(list, answer);
}

/** Where the documented list of GET /api/customers/high-risk ends: drawn while everybody is ranked by probability. */
function cutLine(list, { cut, above_cut: above }) {
  list.lineDrawn = true;
  const text = above ? `${plural(above, "customer is", "customers are")} above the cut of ${cutText(cut)}` : `Nobody is above the cut of ${cutText(cut)}`;
  return h("tr", { class: "cut-row", role: "row" }, h("td", { colspan: list.columns.length + (list.choice ? 2 : 1), role: "cell" }, h("span", {}, text)));
}

function row(list, c) {
  return h("tr", { role: "row" },
    list.choice && h("td", { role: "cell", class: "pick" }, list.choice.box(c.user_id)),
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: customerAddress(c.user_id) }, c.user_id)),
    list.columns.map((name) => h("td", { role: "cell", class: `${name}${COLUMNS[name].numeric ? " numeric" : ""}`, "data-head": COLUMNS[name].head }, COLUMNS[name].cell(c, list.currency))));
}

function foot(list, answer) {
  list.more.hidden = !answer.next;
  const isFiltered = list.chosen.childElementCount > 0;
  if (!answer.as_of) {
    list.tally.textContent = "";
    show(list.note, "Nobody is scored yet.");
    return;
  }
  show(list.note, `Data of ${day(answer.as_of)}, model ${answer.model_version}. “unsure” marks a prediction that may well turn out wrong.`);
  const of = isFiltered ? "that fit" : "";
  list.tally.textContent = list.shown
    ? `Showing ${count(list.shown)} of ${answer.total_is_exact ? plural(answer.total, "customer") : `${answer.total_text} customers`} ${of}`.trim()
    : "No customer fits. Take a filter away, or look for the beginning of an id or e-mail.";
  drawExports(list, answer);
}

/** Exactly what is filtered, whole, as a file; without a filter `contact` it leaves some out, and says so. */
function drawExports(list, answer) {
  if (!list.page.mayRun) return show(list.exports, noExport());
  const wanted = asked(list.page.query, { withSort: false });
  wanted.set("content", "risk");
  wanted.set("format", "csv");
  show(list.exports, h("a", { class: "button", id: "export", href: `/api/customers/export?${wanted}`, download: "customers.csv" },
    `Export CSV (${answer.total_is_exact ? count(answer.total) : answer.total_text})`),
  !wanted.has("contact") && h("p", { class: "fine" }, "The file leaves out those of them who may not be contacted."));
}

function debounced(action) {
  let timer = 0;
  return () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(action, PAUSE_MS);
  };
}
