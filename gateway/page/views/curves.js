// The curves of a model's test rows, and the figures on them of a cut that the reader moves.

import { asTable } from "../charts.js";
import { h, panel, show } from "../dom.js";
import { axis, legend, lines, shareAxis } from "../lines.js";
import { count, cutText, interval, number, percent } from "../format.js";
import { help } from "../frame/help.js";
import { button, field } from "../parts.js";

const KINDS = {
  gain: { title: "Gain", term: "lift", x: "Share of customers, highest scores first", y: "Share of the leavers caught" },
  roc: { title: "ROC", term: "auc", x: "False positive rate", y: "Recall" },
  precision_recall: { title: "Precision and recall", term: "average-precision", x: "Recall", y: "Precision" },
  reliability: { title: "Reliability", term: "calibration", x: "Predicted", y: "Observed" },
  lift: { title: "Lift", term: "lift", x: "Share of customers, highest scores first", y: "Times the mean churn rate" },
};

/** The panel; the curve and the cut stand in the address. */
export function curvesPanel(page, report) {
  const { root, body } = panel("Curves, and a cut that you move", { id: "curves", wide: true, note: `On ${count(report.test.n)} test rows, ${percent(report.test.prevalence)} of whom left.` });
  const place = h("div", { class: "panel-body" });
  const slider = h("input", { type: "range", min: 0, max: 100, step: 1, value: page.query.get("share") ?? 10 });
  const said = h("output", {});
  const matrix = h("div", { class: "panel-body", "aria-live": "polite" });
  const names = Object.keys(KINDS).filter((name) => report.curves?.[name]?.length);
  if (!names.length) { show(body, h("p", { class: "empty" }, "This version's report has no curves.")); return root; }
  const state = { name: names.includes(page.query.get("curve")) ? page.query.get("curve") : names[0] };
  const buttons = names.map((name) => button(KINDS[name].title, () => choose(name), { "aria-pressed": "false" }));
  const draw = () => {
    const share = Number(slider.value) / 100;
    said.textContent = `The top ${percent(share)} of the test rows`;
    slider.setAttribute("aria-valuetext", said.textContent);
    for (const [i, each] of buttons.entries()) each.setAttribute("aria-pressed", String(names[i] === state.name));
    show(place, ...curve(state.name, report, confusion(report, share)));
    show(matrix, ...drawMatrix(confusion(report, share)));
  };
  const choose = (name) => { state.name = name; page.go({ curve: name }, { replace: true, quiet: true }); draw(); };
  slider.addEventListener("input", () => { page.go({ share: slider.value }, { replace: true, quiet: true }); draw(); });
  draw();
  show(body, h("div", { class: "choices", role: "group", "aria-label": "Curve" }, buttons),
    h("div", { class: "columns" }, place, h("div", { class: "panel-body" }, h("div", { class: "slider" }, field("Cut: how many are flagged as leavers", slider), said), matrix)));
  return root;
}

/** The confusion matrix of the top share of the test rows, from the gain curve. */
export function confusion({ test, curves }, share) {
  const positives = test.positives ?? Math.round(test.n * test.prevalence);
  const recall = at(curves.gain ?? [[0, 0], [1, 1]], share);
  const chosen = Math.round(share * test.n);
  const caught = Math.min(chosen, recall * positives);
  const negatives = test.n - positives;
  const alarms = chosen - caught;
  return { share, chosen, caught, alarms, missed: positives - caught, spared: negatives - alarms, recall,
    precision: chosen ? caught / chosen : null, rate: negatives ? alarms / negatives : null, lift: share ? recall / share : null };
}

function at(points, x) {
  const next = points.findIndex(([each]) => each >= x);
  if (next <= 0) return points[Math.max(0, next)]?.[1] ?? 1;
  const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]];
  return y0 + ((x - x0) / (x1 - x0 || 1)) * (y1 - y0);
}

function drawMatrix(c) {
  const cell = (kind, name, value) => h("div", { class: kind }, h("dt", { class: "fine" }, name), h("dd", { class: "stat-value" }, count(Math.round(value))));
  return [
    h("dl", { class: "matrix", id: "matrix" },
      cell("right", "Left, and flagged", c.caught), cell("wrong", "Stayed, but flagged", c.alarms),
      cell("wrong", "Left, but not flagged", c.missed), cell("right", "Stayed, and not flagged", c.spared)),
    h("p", { class: "note" }, `Precision ${percent(c.precision)}, recall ${percent(c.recall)}, false positive rate ${percent(c.rate)}, lift ${number(c.lift)}.`),
  ];
}

function curve(name, report, cut) {
  const { title, term, x, y } = KINDS[name];
  if (name === "reliability") return reliability(report.curves.reliability);
  const points = report.curves[name];
  const most = Math.max(...points.map(([, value]) => value));
  const upright = name === "lift" ? axis(most, (value) => number(value)) : shareAxis;
  const where = { gain: [cut.share, cut.recall], roc: [cut.rate, cut.recall], precision_recall: [cut.recall, cut.precision], lift: [cut.share, cut.lift] }[name];
  const chance = { gain: [[0, 0], [1, 1]], roc: [[0, 0], [1, 1]], precision_recall: [[0, report.test.prevalence], [1, report.test.prevalence]], lift: [[0, 1], [1, 1]] }[name];
  const series = [{ name: "Model", kind: "a", points }, { name: "Chance", kind: "plain", points: chance }];
  return [
    h("div", { class: "panel-head" }, h("h3", {}, title), help(term, title)),
    h("figure", {}, lines({ label: `${title} of ${count(report.test.n)} test rows: ${y} by ${x}.`, series, x: shareAxis, y: upright,
      marks: where[1] === null || where[0] === null ? [] : [{ x: where[0], y: Math.min(where[1], upright.to), kind: "b", name: "Your cut" }] }),
      h("figcaption", {}, `${y}, by ${x.charAt(0).toLowerCase()}${x.slice(1)}; the filled dot is your cut`)),
    legend(series),
    asTable(title, [x, y], points.filter((_, i) => i % 10 === 0).map(([a, b]) => [percent(a), name === "lift" ? number(b) : percent(b)])),
  ];
}

function reliability(rows) {
  const most = axis(Math.max(...rows.map((row) => Math.max(row.predicted, row.high))), cutText);
  const series = [
    { name: "Observed, with its 95 % interval", kind: "a", points: rows.map((row) => [row.predicted, row.observed]), low: rows.map((row) => row.low), high: rows.map((row) => row.high) },
    { name: "Perfect", kind: "plain", points: [[0, 0], [most.to, most.to]] },
  ];
  return [
    h("div", { class: "panel-head" }, h("h3", {}, "Reliability"), help("calibration", "Reliability")),
    h("figure", {}, lines({ label: "Share that left, by predicted probability, in groups of as many test rows.", series, x: most, y: most,
      marks: rows.map((row) => ({ x: row.predicted, y: row.observed, kind: "", name: `${percent(row.predicted)}: ${percent(row.observed)} of ${row.n}` })) }),
      h("figcaption", {}, "Share that left, by predicted probability")),
    legend(series),
    asTable("Reliability", ["Predicted", "Observed", "95 % interval", "Rows"], rows.map((row) => [percent(row.predicted), percent(row.observed), interval([row.low, row.high], percent), count(row.n)])),
  ];
}
