// How good the live model is: natural prevalence first, balanced beside it, and what it improved on.

import { get } from "../api.js";
import { asTable } from "../charts.js";
import { h, panel } from "../dom.js";
import { count, day, known, NONE, percent, score } from "../format.js";
import { heading } from "../frame/page.js";

export const modelView = {
  path: "model",
  section: "model",
  title: "Model",
  open(page) {
    const figures = panel("How good it is", { id: "model", wide: true, note: "How good the live model is, on records it was not trained on." });
    const ask = () => Promise.all([get("/api/predictions/performance"), get("/api/model/status")]);
    const refresh = () => page.load(figures.body, ask, ([performance, status]) => modelFigures(performance, status));
    refresh();
    return { root: h("div", { class: "page" }, heading("Model"), figures.root), refresh };
  },
};

/** The model section for GET /api/predictions/performance and GET /api/model/status. */
function modelFigures(performance, status) {
  if (!known(performance.auc)) return [h("p", { class: "empty" }, "No model is trained yet, so there is nothing to judge.")];
  return [
    h("div", { class: "model-grid" }, natural(performance), balanced(performance), improvement(status)),
    h("p", { class: "fine" },
      `Model ${performance.model_version} (${status.algorithm}, ${count(status.features)} features), fitted on ${
        count(performance.training_samples)} records on ${day(performance.last_trained)}. Every figure is on ${count(performance.n)} held-out records.`),
    h("p", { class: "note" }, h("a", { href: `/api/model/versions/${encodeURIComponent(performance.model_version)}/report`, target: "_blank", rel: "noopener" },
      "The whole report: intervals, curves, segments")),
    asTable("Precision, recall and F1", ["Prevalence", "Threshold", "Precision", "Recall", "F1"], tableRows(performance)),
  ];
}

function natural(p) {
  return block("At natural prevalence", `${percent(p.prevalence)} of ${count(p.n)} records left`, [
    ["Precision", score(p.precision)], ["Recall", score(p.recall)], ["F1", score(p.f1_score)],
  ], `As the model meets customers, at its decision threshold ${percent(p.threshold)}.`);
}

function balanced(p) {
  const b = p.balanced;
  if (!b) return null;
  return block("Balanced", "the same records, weighted so that half left", [
    ["Precision", score(b.precision)], ["Recall", score(b.recall)], ["F1", score(b.f1_score)],
  ], `For comparing with other data; at a threshold of its own, ${percent(b.threshold)}.`);
}

function improvement(status) {
  const p = status.performance;
  const why = known(p.previous_auc) ? null : "needs an earlier model or the baseline";
  return block("Improvement", "AUC on the same held-out records", [
    ["Before", score(p.previous_auc)], ["Now", score(p.current_auc)], ["Change", gain(p)],
  ], why ?? "The model before; for a first model the logistic baseline v1.0.");
}

function gain({ previous_auc: before, current_auc: now }) {
  if (!known(before) || !known(now)) return NONE;
  const text = score(Math.abs(now - before));
  return Number(text) === 0 ? "±0.000" : `${now < before ? "−" : "+"}${text}`;
}

function block(title, under, rows, note) {
  return h("div", { class: "model-block" },
    h("h3", {}, title),
    h("p", { class: "fine" }, under),
    h("dl", { class: "big-facts" }, rows.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text)))),
    h("p", { class: "definition" }, note));
}

function tableRows(p) {
  const row = (name, f) => [name, percent(f.threshold), score(f.precision), score(f.recall), score(f.f1_score)];
  return [row(`natural, ${percent(p.prevalence)}`, p), ...(p.balanced ? [row("balanced, 50 %", p.balanced)] : [])];
}
