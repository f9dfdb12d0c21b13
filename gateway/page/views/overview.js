// The overview: cards, distribution, factors. It loads its figures together and can be refreshed.

import { ApiError, get, post } from "../api.js";
import { failure, h, loading, panel, show } from "../dom.js";
import { count, day } from "../format.js";
import { heading } from "../frame/page.js";
import { cards } from "./cards.js";
import { distribution, factors, segments, segmentsFromCuts } from "./figures.js";

export const overviewView = {
  path: "",
  section: "overview",
  title: "Overview",
  open(page) {
    const { mayRun, work } = page;
    const view = { page, mayRun, work, ...frame(mayRun, work) };
    const refresh = () => page.busy(load(view));
    refresh();
    return { root: view.root, refresh, work: () => updateButtons(view) };
  },
};

function frame(mayRun, work) {
  const score = h("button", { type: "button", class: "main", onclick: () => work.start("score") }, "Score customers now");
  const train = h("button", { type: "button", class: "quiet", onclick: () => work.start("train") }, "Train a model");
  const subtitle = h("p", { class: "note" }, "Loading the figures …");
  const cardRow = h("div", { class: "cards" }, [1, 2, 3].map(() => h("div", { class: "card" }, loading(4))));
  const spread = panel("Distribution of risk", {
    id: "distribution", note: "How many active customers have which probability of leaving.",
  });
  const weights = panel("What weighs most", { id: "factors", note: "The five features that the model's predictions depend on most." });
  const start = h("div", {});
  const root = h("div", { class: "page" },
    heading("Churn risk", { note: subtitle, actions: mayRun ? [train, score] : [] }),
    start, cardRow,
    h("div", { class: "columns uneven" }, spread.root, weights.root));
  return { root, score, train, subtitle, cardRow, spread: spread.body, weights: weights.body, start };
}

function updateButtons({ score, train, work }) {
  score.disabled = train.disabled = work.isBusy;
}

async function load(view) {
  const names = ["metrics", "distribution", "features", "segments", "status", "schema"];
  const asked = [
    get("/api/dashboard/metrics"), get("/api/dashboard/distribution"), get("/api/dashboard/features"), askSegments(view.mayRun),
    get("/api/model/status"), get("/api/schema"),
  ];
  const settled = await Promise.allSettled(asked);
  const lost = settled.find((s) => s.reason instanceof ApiError && s.reason.isSignedOut);
  if (lost) return view.page.expired();
  if (!view.page.isOpen) return;
  const found = Object.fromEntries(names.map((name, i) => [name, settled[i]]));
  draw(view, found);
}

/** Segments are asked for by those who may; others get them from what the two limits catch. */
async function askSegments(mayAsk) {
  if (mayAsk) return (await post("/api/customers/segment")).segments;
  const { riskLevels } = await get("/api/dashboard/metrics");
  const cuts = await Promise.all([riskLevels.high_above, riskLevels.medium_above].map((cut) => get(`/api/dashboard/threshold?cut=${cut}`)));
  return segmentsFromCuts(...cuts);
}

function draw(view, found) {
  const again = () => load(view);
  const place = (element, parts, drawing) => {
    const failed = parts.find((name) => found[name].status === "rejected");
    if (failed) show(element, failure(found[failed].reason, again));
    else show(element, ...drawing(...parts.map((name) => found[name].value)));
  };
  const where = whereWeAre(found);
  place(view.cardRow, ["metrics"], (metrics) => cards(metrics, where));
  place(view.spread, ["distribution", "segments", "metrics"], (buckets, parts, { predictedChurners: p, riskLevels }) =>
    [...distribution(buckets, { cut: p.cut, asOf: p.as_of, version: p.model_version }), ...segments(parts, riskLevels)]);
  place(view.weights, ["features", "status"], (rows, status) => factors(rows, status));
  place(view.start, ["metrics", "status", "schema"], () => firstSteps(view, where));
  if (found.metrics.status === "fulfilled") subtitle(view, found.metrics.value, found.schema.value);
  updateButtons(view);
}

function whereWeAre({ metrics, status, schema }) {
  return {
    hasCustomers: schema.status === "rejected" || schema.value.name !== null,
    hasModel: status.status === "rejected" || status.value.version !== null,
    isScored: metrics.status === "rejected" || metrics.value.predictedChurners.count !== null,
    isTraining: status.value?.status === "training",
    horizonDays: status.value?.horizon_days,
  };
}

function subtitle(view, { predictedChurners: p }, schema) {
  const parts = p.as_of
    ? [`${count(p.customers)} active customers`, `data of ${day(p.as_of)}`, `model ${p.model_version}`]
    : ["Nobody is scored yet"];
  show(view.subtitle, parts.join(" · "),
    schema?.is_demo ? h("span", { class: "badge", title: "Simulated subscribers, made for the demo" }, "simulated demo data") : null);
}

/** First steps, shown while there is nothing else to show. */
function firstSteps({ mayRun, work }, { hasCustomers, hasModel, isScored, isTraining }) {
  if (isScored) return [];
  const box = (title, ...content) => [h("section", { class: "panel wide first", id: "first-steps", "aria-labelledby": "first-title" },
    h("h2", { id: "first-title" }, title), ...content)];
  const ask = "An analyst or administrator can do this.";
  const button = (kind, text) => (mayRun ? h("button", { type: "button", class: "main", onclick: () => work.start(kind) }, text) : h("p", { class: "fine" }, ask));
  if (!hasCustomers) {
    return box("No customers yet",
      h("p", {}, "Import a customer table (CSV or Parquet) where RetainStream runs, then train and score:"),
      h("pre", { tabindex: 0 }, h("code", {}, "retainstream import customers.csv --schema retainstream")),
      h("p", { class: "fine" }, "retainstream is the built-in schema; retainstream schema infer proposes one for a table of your own."));
  }
  if (!hasModel) {
    return box("No model yet",
      h("p", {}, isTraining ? "A model is being trained. Its first scores appear here." : "The customers are there. Train a model on what is known of them; then score."),
      !isTraining && button("train", "Train the first model"));
  }
  return box("Not scored yet", h("p", {}, "A model is ready. Score the customers to see who is about to leave."), button("score", "Score customers now"));
}
