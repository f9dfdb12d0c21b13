// How good the live model is: figures, curves with a cut that moves, segments, baselines, what it depends on.

import { get } from "../api.js";
import { asTable, shares } from "../charts.js";
import { h, panel, show } from "../dom.js";
import { count, day, interval, known, NONE, percent, plural, score } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { help } from "../frame/help.js";
import { table } from "../parts.js";
import { curvesPanel } from "./curves.js";
import { dependencePanel } from "./dependence.js";

export const view = {
  open(page) {
    const train = h("button", { type: "button", class: "quiet", onclick: () => page.work.start("train") }, "Train a model");
    const place = h("div", { class: "stack" });
    const refresh = () => page.load(place, ask, (found) => draw(page, found), { bones: 8 });
    refresh();
    return { root: h("div", { class: "page" }, heading("Model", { actions: [page.mayRun && train] }), place), refresh, work: () => { train.disabled = page.work.isBusy; } };
  },
};

async function ask() {
  const [performance, status, schema] = await Promise.all([get("/api/predictions/performance"), get("/api/model/status"), get("/api/schema")]);
  const version = known(status.version) ? await get(`/api/model/versions/${encodeURIComponent(status.version)}`) : null;
  return { performance, status, schema, report: version?.report ?? null };
}

function draw(page, { performance, status, schema, report }) {
  if (!known(performance.auc) || !report) return empty("No model is trained yet, so there is nothing to judge. Import customers, then train.");
  return [
    schema.is_demo && h("p", { class: "notice" }, "This base is simulated: its churn was made by known rules, so the figures show how the product works and are no evidence about real customers."),
    filled(panel("How good it is", { id: "model", wide: true, note: "On records it was not trained on." }), modelFigures(performance, status, report)),
    curvesPanel(page, report),
    h("div", { class: "columns" },
      filled(panel("Features its predictions depend on", { id: "importance", aside: help("importance", "Importance") }), importance(report)),
      filled(panel("Beside simpler models", { id: "baselines", note: "On the same test rows; a lower log loss is better.", aside: help("baselines", "Baselines") }), baselines(report))),
    dependencePanel(page),
    filled(panel("By segment", { id: "segments", wide: true, note: "The same test rows, by category." }), segmentRows(report)),
  ];
}

const filled = ({ root, body }, content) => { show(body, ...[content].flat()); return root; };

function modelFigures(performance, status, report) {
  return [
    h("div", { class: "model-grid" }, natural(performance, report), balanced(performance), improvement(status)),
    h("p", { class: "fine" },
      `Model ${performance.model_version} (${status.algorithm}, ${plural(status.features, "feature")}), fitted on ${
        count(performance.training_samples)} records on ${day(performance.last_trained)}. Every figure is on ${count(performance.n)} held-out records${
        report.test.period ? `, of ${day(report.test.period[0])} to ${day(report.test.period[1])}` : ""}.`),
    report.left_out?.length > 0 && h("p", { class: "fine" }, `Left out of the model by choice: ${report.left_out.join(", ")}.`),
    h("p", { class: "note" }, h("a", { href: `/api/model/versions/${encodeURIComponent(performance.model_version)}/report` }, "The whole report")),
    asTable("Precision, recall and F1", ["Prevalence", "Threshold", "Precision", "Recall", "F1"], tableRows(performance)),
  ];
}

function natural(p, report) {
  const between = (name) => (report.intervals?.[name] ? ` [${interval(report.intervals[name], score)}]` : "");
  return block("At natural prevalence", "precision-recall", `${percent(p.prevalence)} of ${count(p.n)} records left`, [
    ["Precision", score(p.precision)], ["Recall", score(p.recall)], ["F1", score(p.f1_score)],
  ], `As the model meets customers, at its decision threshold ${percent(p.threshold)}. AUC ${score(p.auc)}${between("auc")}, log loss ${score(report.test.log_loss)}${between("log_loss")} (95 % intervals).`);
}

function balanced(p) {
  const b = p.balanced;
  if (!b) return null;
  return block("Balanced", "balanced-precision", "the same records, weighted so that half left", [
    ["Precision", score(b.precision)], ["Recall", score(b.recall)], ["F1", score(b.f1_score)],
  ], `For comparing with other data; at a threshold of its own, ${percent(b.threshold)}.`);
}

function improvement(status) {
  const p = status.performance;
  return block("Improvement", "improvement", "AUC on the same held-out records", [
    ["Before", score(p.previous_auc)], ["Now", score(p.current_auc)], ["Change", gain(p)],
  ], known(p.previous_auc) ? "“Before” is the model that was live; for a first model, the baseline v1.0." : "needs an earlier model or the baseline");
}

function gain({ previous_auc: before, current_auc: now }) {
  if (!known(before) || !known(now)) return NONE;
  const text = score(Math.abs(now - before));
  return Math.abs(now - before) < 0.0005 ? `±${text}` : `${now < before ? "−" : "+"}${text}`;
}

function block(title, term, under, rows, note) {
  return h("div", { class: "model-block" },
    h("div", { class: "panel-head" }, h("h3", {}, title), help(term, title)),
    h("p", { class: "fine" }, under),
    h("dl", { class: "big-facts" }, rows.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))),
    h("p", { class: "definition" }, note));
}

function tableRows(p) {
  const row = (name, f) => [name, percent(f.threshold), score(f.precision), score(f.recall), score(f.f1_score)];
  return [row(`natural, ${percent(p.prevalence)}`, p), ...(p.balanced ? [row("balanced, 50 %", p.balanced)] : [])];
}

function importance(report) {
  return [shares(report.importance.map((each) => ({ name: each.label ?? each.name, value: each.importance }))),
    h("p", { class: "fine" }, "Share of the mean absolute SHAP value; all features together are 100 %.")];
}

function baselines(report) {
  const numeric = (text) => ({ text, numeric: true });
  const row = (name, note, each) => [h("span", {}, name, note && h("span", { class: "fine block" }, note)), score(each.auc), score(each.log_loss)];
  const rows = [row(`This model, ${report.model_version}`, null, report.test),
    ...(report.champion ? [row("The live model before", "on the same rows", report.champion)] : []),
    ...Object.values(report.baselines ?? {}).filter((each) => each && known(each.auc)).map((each) => row(each.note, null, each)),
    ...(report.ceiling && known(report.ceiling.auc) ? [row("The ceiling", "the simulation's own probabilities: nobody can do better", report.ceiling)] : [])];
  return table("This model beside simpler ones", ["Model", numeric("AUC"), numeric("Log loss")], rows);
}

function segmentRows(report) {
  if (!report.segments?.length) return empty("The schema has no category with enough test rows.");
  const numeric = (text) => ({ text, numeric: true });
  const labelOf = (name) => report.importance.find((each) => each.name === name)?.label ?? name;
  return table("The model by segment", ["Segment", numeric("Rows"), numeric("Left"), numeric("Mean probability"), numeric("AUC"), numeric("Log loss"), numeric("Log loss before")],
    report.segments.map((each) => [`${labelOf(each.feature)}: ${each.value}`, count(each.n), percent(each.prevalence), percent(each.mean_probability), score(each.auc), score(each.log_loss), score(each.champion_log_loss)]));
}
