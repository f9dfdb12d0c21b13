// One customer: the score, what it is made of, what could be done, and the facts.

import { ApiError, get } from "../api.js";
import { failure, h, loading, panel, show } from "../dom.js";
import { column, day, hundredths, known, moment, NONE, percent, points, title, within } from "../format.js";
import { waterfall } from "./waterfall.js";
import { factText } from "./words.js";

export const customerView = {
  path: "customers/:id",
  section: "customers",
  title: "Customer",
  tab: false,
  open(page) {
    const body = h("div", { class: "page customer" }, loading(5));
    const { id } = page.params;
    page.title(id);
    const refresh = () => page.busy(load(id, body, page.expired));
    refresh();
    return { root: body, refresh };
  },
};

async function load(id, body, onSignedOut) {
  try {
    const [customer, schema, status] = await Promise.all([
      get(`/api/customers/${encodeURIComponent(id)}`), get("/api/schema"), get("/api/model/status"),
    ]);
    const todo = panel("What could be done", { id: "actions" });
    show(body, ...draw(customer, schema, status, todo.root));
    body.querySelector("h1").focus({ preventScroll: true });
    if (known(customer.churn_probability)) await loadActions(id, todo.body, onSignedOut);
  } catch (error) {
    if (error instanceof ApiError && error.isSignedOut) return onSignedOut();
    if (error.status === 404) show(body, ...missing(id));
    else show(body, h("h1", { tabindex: -1 }, id), failure(error, () => load(id, show(body, loading(5)), onSignedOut)));
  }
}

function missing(id) {
  return [
    h("h1", { tabindex: -1 }, "No such customer"),
    h("p", { class: "note" }, "There is no customer with the id ", h("code", {}, id), ". The list finds ids by their beginning."),
  ];
}

function draw(c, schema, status, todo) {
  const isScored = known(c.churn_probability);
  return [
    h("header", { class: "customer-head" },
      h("div", {},
        h("h1", { tabindex: -1 }, c.user_id),
        h("p", { class: "note" }, [c.email, c.plan].filter(Boolean).join(" · ")),
        c.churn === 1 && h("p", {}, h("span", { class: "badge" }, "Has left")),
        c.ends_on && h("p", {}, h("span", { class: "badge warn" }, `Cancelled: ends on ${c.ends_on}`))),
      isScored && scoreBox(c, status)),
    isScored ? h("div", { class: "columns" }, why(c), todo) : unscored(c),
    facts(c, schema),
  ];
}

function scoreBox(c, status) {
  return h("div", { class: `score-box ${c.risk_level.toLowerCase()}` },
    h("p", { class: "figure" },
      h("span", { class: "figure-value", "data-figure": "probability" }, percent(c.churn_probability)),
      h("span", { class: `badge risk-${c.risk_level.toLowerCase()}` }, `${c.risk_level} risk`)),
    h("p", { class: "note" }, `probability of leaving${within(status.horizon_days)}`),
    h("p", { class: "fine" },
      `Confidence ${percent(c.confidence)} that the predicted label turns out right`, c.low_confidence && h("span", { class: "badge warn" }, "low"),
      h("br"), `Scored ${moment(c.prediction_date)}, model ${c.model_version}`,
      c.out_of_fold ? "; out of fold, as this record was used in training" : ""));
}

function unscored(c) {
  const reason = c.churn === 1 ? "This customer has left, so there is nothing to predict." : "This customer is not scored yet: the next scoring run does it.";
  return h("p", { class: "empty panel wide" }, reason);
}

function why(c) {
  const { root, body } = panel("Why this probability", {
    id: "why", note: "From where the model starts to this customer's probability, in percentage points. The steps add up.",
  });
  show(body, waterfall(c));
  return root;
}

async function loadActions(id, body, onSignedOut) {
  try {
    const { actions } = await get(`/api/customers/${encodeURIComponent(id)}/actions`);
    show(body, ...(actions.length ? drawActions(actions) : [h("p", { class: "empty" },
      "Nothing to recommend: no fact that can be acted on adds to this score while others like this customer have a better one.")]));
  } catch (error) {
    if (error instanceof ApiError && error.isSignedOut) return onSignedOut();
    show(body, failure(error, () => loadActions(id, show(body, loading()), onSignedOut)));
  }
}

function drawActions(actions) {
  return [
    h("ol", { class: "actions" }, actions.map((a) => h("li", {},
      h("p", { class: "action" }, a.action),
      a.purpose && h("p", { class: "note" }, title(a.purpose), "."),
      h("p", { class: "expected" },
        h("strong", {}, points(a.difference * 100)),
        h("span", { class: "fine" }, ` model's estimate: ${percent(a.score_if_changed)}, if ${a.label} were ${
          factText(a.target, a.unit)} instead of ${factText(a.value, a.unit)}`)),
      h("p", { class: "fine dose" }, a.dose.text)))),
    h("p", { class: "fine" }, "In the order of the points of their reasons. ", actions[0].note),
  ];
}

const SHOWN_ELSEWHERE = new Set(["id", "user_id", "email", "churn", "churn_probability", "prediction_date", "confidence", "low_confidence", "risk_level",
  "model_version", "base_probability", "reasons", "other_points", "time_of_year_points", "out_of_fold", "currency", "as_of", "created_at", "updated_at", "ends_on"]);

function facts(c, schema) {
  const about = new Map(Object.entries(schema.table_schema?.features ?? {}).map(([name, feature]) => [column(name), { name, ...feature }]));
  const rows = Object.entries(c).filter(([name]) => !SHOWN_ELSEWHERE.has(name)).map(([name, value]) => {
    const feature = about.get(name) ?? about.get(name.replace(/^f_/, ""));
    if (name === "monthly_price") return ["Monthly price", known(value) ? `${hundredths(value)} ${c.currency ?? ""}` : NONE];
    return [feature?.label ?? title(feature?.name ?? name), factText(value, feature?.unit)];
  });
  const { root, body } = panel("Facts", { id: "facts", wide: true, note: `As known on ${day(c.as_of)}; recorded ${moment(c.updated_at)}.` });
  show(body, h("dl", { class: "fact-grid" }, rows.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text)))));
  return root;
}
