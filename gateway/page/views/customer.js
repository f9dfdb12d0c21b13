// One customer: the score, what it is made of, what could be done, what if, and how it all came about.

import { get } from "../api.js";
import { h, loading, panel, show } from "../dom.js";
import { column, day, interval, known, mailto, moment, money, percent, points, title, within } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { help } from "../frame/help.js";
import { customerAddress } from "../frame/router.js";
import { featuresOf } from "./filters.js";
import { historyPanels } from "./history.js";
import { neighbours } from "./neighbours.js";
import { outlookPanel } from "./outlook.js";
import { workPanel } from "./work.js";
import { waterfall } from "./waterfall.js";
import { whatIf } from "./whatif.js";
import { factText } from "./words.js";

export const view = {
  open(page) {
    const root = h("div", { class: "page customer" }, loading(6));
    const { id } = page.params;
    page.title(id);
    const refresh = () => page.load(root, () => ask(id), (found) => draw(page, id, found));
    refresh().then(() => root.querySelector("h1")?.focus({ preventScroll: true }));
    return { root, refresh };
  },
};

async function ask(id) {
  const path = `/api/customers/${encodeURIComponent(id)}`;
  try {
    const [customer, schema, status] = await Promise.all([get(path), get("/api/schema"), get("/api/model/status")]);
    return { customer, schema, status };
  } catch (error) {
    if (error.status === 404) return { customer: null };
    throw error;
  }
}

function draw(page, id, { customer: c, schema, status }) {
  if (!c) {
    return [heading("No such customer"),
      h("p", { class: "note" }, "There is no customer with the id ", h("code", {}, id), ". The search finds ids by their beginning.")];
  }
  const isScored = known(c.churn_probability);
  const path = `/api/customers/${encodeURIComponent(id)}`;
  const todo = panel("What could be done", { id: "actions", note: "Facts that can be acted on and stand out for this customer, each with a level that others of the plan have." });
  const between = h("nav", { class: "between", "aria-label": "Customers before and after" });
  const history = historyPanels(page, id, featuresOf(schema));
  if (isScored) page.load(todo.body, () => get(`${path}/actions`), ({ actions, ranked }) => [drawActions(actions), drawRanked(ranked, c.currency)].flat());
  page.load(between, () => neighbours(id), drawNeighbours, { bones: 1 });
  return [
    head(c, status, between),
    isScored ? h("div", { class: "columns" }, why(c), todo.root) : unscored(c),
    isScored && outlookPanel(page, id),
    workPanel(page, id),
    isScored && whatIf(page, c, featuresOf(schema)),
    history.scores, facts(c, schema), history.facts,
  ];
}

function drawNeighbours({ before, after, at }) {
  const link = (id, text) => (id ? h("a", { class: "button small", href: customerAddress(id), "aria-label": `${text}: ${id}` }, text) : null);
  return [link(before, "Previous"), at ? h("span", { class: "fine" }, `No. ${at} of the list`) : null, link(after, "Next")];
}

function head(c, status, between) {
  return h("header", { class: "customer-head" },
    h("div", {},
      heading(c.user_id, { note: h("p", { class: "note" }, c.email && h("a", { href: mailto(c.email) }, c.email), [c.email && c.plan ? " · " : "", c.plan ?? ""].join("")) }),
      c.churn === 1 && h("p", {}, h("span", { class: "badge" }, "Has left")),
      c.ends_on && h("p", {}, h("span", { class: "badge warn" }, `Cancelled: ends on ${day(c.ends_on)}`)),
      between),
    known(c.churn_probability) && scoreBox(c, status));
}

function scoreBox(c, status) {
  const judge = [`Scored ${moment(c.prediction_date)}`, `Model ${c.model_version}`, `Facts of ${day(c.as_of)}`];
  return h("div", { class: "score-box" },
    h("p", { class: "figure" },
      h("span", { class: "figure-value", "data-figure": "probability" }, percent(c.churn_probability)),
      help("churn-probability", "Probability of leaving", judge),
      c.low_confidence && h("span", { class: "badge warn", title: `Confidence ${percent(c.confidence)} that the predicted label turns out right` }, "unsure")),
    h("p", { class: "note" }, `probability of leaving${within(status.horizon_days)}`),
    h("p", { class: "fine" },
      known(c.monthly_price) && [`Revenue at risk ${money(c.churn_probability * c.monthly_price, c.currency)} a month`, h("br")],
      `Scored ${moment(c.prediction_date)}, model ${c.model_version}`,
      c.out_of_fold ? "; out of fold, as this record was used in training" : ""));
}

function unscored(c) {
  const reason = c.churn === 1 ? "This customer has left, so there is nothing to predict." : "This customer has no score yet. The next scoring run will give one.";
  return h("p", { class: "empty panel wide" }, reason);
}

function why(c) {
  const { root, body } = panel("Why this probability", {
    id: "why", note: "From where the model starts to this customer's probability, in percentage points. The steps add up.",
    aside: help("reasons", "Why this probability"),
  });
  show(body, waterfall(c));
  return root;
}

function drawActions(actions) {
  if (!actions.length) return empty("Nothing to recommend: no fact that can be acted on adds to this score while others like this customer have a better one.");
  return [
    h("ol", { class: "actions" }, actions.map((a) => h("li", {},
      h("p", { class: "action" }, a.action),
      a.purpose && h("p", { class: "note" }, title(a.purpose), "."),
      h("p", { class: "expected" },
        h("strong", {}, points(a.difference * 100)),
        h("span", { class: "fine" }, ` model's estimate: ${percent(a.score_if_changed)}, if ${a.label} were ${
          factText(a.target, a.unit, a.label)} instead of ${factText(a.value, a.unit, a.label)}`)),
      h("p", { class: "fine dose" }, a.dose.text)))),
    h("p", { class: "fine" }, "In the order of the points of their reasons. ", actions[0].note),
  ];
}

/** The actions of the catalogue, each with the effect that its expected value stands on. */
function drawRanked(ranked, currency) {
  const basis = (a) => {
    const ends = interval(a.effect_interval, percent);
    return `${money(a.expected_value, currency)} expected: of those who would leave, ${percent(a.effect)} stay${ends ? ` (95 %: ${ends})` : ""}, ${a.effect_text}`;
  };
  return h("details", { class: "more", id: "ranked" }, h("summary", {}, "Actions of the catalogue, by expected value"),
    h("ol", { class: "actions" }, ranked.map((a) => h("li", {}, h("p", { class: "action" }, a.label),
      h("p", { class: "fine" }, !a.is_possible ? `Not possible: ${a.reason}` : a.effect_text ? basis(a) : a.note)))));
}

const SHOWN_ELSEWHERE = new Set(["id", "user_id", "email", "churn", "churn_probability", "prediction_date", "confidence", "low_confidence", "risk_level",
  "model_version", "base_probability", "reasons", "other_points", "time_of_year_points", "out_of_fold", "currency", "as_of", "created_at", "updated_at", "ends_on"]);

/** The present facts; what is no plain value (parts that the API adds) has a place of its own. */
function facts(c, schema) {
  const about = new Map(Object.entries(schema.table_schema?.features ?? {}).map(([name, feature]) => [column(name), { name, ...feature }]));
  const rows = Object.entries(c).filter(([name, value]) => !SHOWN_ELSEWHERE.has(name) && (value === null || typeof value !== "object")).map(([name, value]) => {
    const feature = about.get(name) ?? about.get(name.replace(/^f_/, ""));
    if (name === "monthly_price") return ["Monthly price", money(value, c.currency)];
    const label = feature?.label ?? title(feature?.name ?? name);
    return [label, factText(value, feature?.unit, label)];
  });
  const { root, body } = panel("Facts", { id: "facts", wide: true, note: `As known on ${day(c.as_of)}; recorded ${moment(c.updated_at)}.` });
  show(body, h("dl", { class: "fact-grid" }, rows.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text)))));
  return root;
}
