// How a customer's score and facts developed: a curve with what happened, and the facts of every date.

import { get } from "../api.js";
import { asTable } from "../charts.js";
import { h, panel } from "../dom.js";
import { axis, lines, monthAxis } from "../lines.js";
import { cutText, day, known, percent } from "../format.js";
import { empty, shared } from "../frame/page.js";
import { table } from "../parts.js";
import { drawChange, onRequest } from "./change.js";
import { factText } from "./words.js";

const MOST = 100;
const DAY_MS = 86_400_000;

/** Two panels that load together: scores as a curve, facts as a table. */
export function historyPanels(page, id, features) {
  const scores = panel("How the score developed", { id: "score-history", wide: true, note: "Each run's probability; a filled dot marks a prediction after which the customer left." });
  const facts = panel("Facts over time", { id: "fact-history", wide: true, note: "Facts known on each date, newest first." });
  const ask = shared(() => get(`/api/customers/${encodeURIComponent(id)}/history?limit=${MOST}`));
  page.load(scores.body, ask, (history) => drawScores(page, id, history));
  page.load(facts.body, ask, (history) => drawFacts(history, features));
  return { scores: scores.root, facts: facts.root };
}

function drawScores(page, id, { scores, subscriptions }) {
  if (!scores.length) return [empty("No scores yet."), periods(subscriptions)];
  const rows = [...scores].reverse();
  const at = (row) => Date.parse(`${row.as_of}T00:00:00Z`) / DAY_MS;
  const [from, to] = [at(rows[0]), at(rows[rows.length - 1])];
  const every = Math.ceil(rows.length / 6);
  const x = { from: from - (from === to ? 1 : 0), to: to + (from === to ? 1 : 0), ticks: monthAxis(rows, at, (row) => row.as_of, every) };
  const label = `Probability of leaving by date: ${rows.map((row) => `${day(row.as_of)} ${percent(row.churn_probability)}`).join("; ")}.`;
  return [
    h("figure", {}, lines({
      label, x, y: axis(Math.max(0.04, ...rows.map((row) => row.churn_probability)), cutText),
      series: [{ name: "Probability", kind: "a", points: rows.map((row) => [at(row), row.churn_probability]) }],
      marks: rows.map((row) => ({ x: at(row), y: row.churn_probability, kind: row.churned ? "left" : "", name: `${day(row.as_of)}: ${percent(row.churn_probability)}, ${outcome(row)}` })),
    }), h("figcaption", {}, "Probability of leaving, by the date of the facts")),
    moved(page, id, scores),
    asTable("Scores by date", ["Date", "Probability", "Outcome", "Model", "First reasons"], rows.map((row) =>
      [day(row.as_of), percent(row.churn_probability), outcome(row), row.model_version, row.reasons.map((r) => r.label).join(", ")]).reverse()),
    periods(subscriptions),
  ];
}

/** A button that loads the change of the score since the run of an earlier date. */
function moved(page, id, scores) {
  const [now] = scores;
  const before = scores.find((each) => each.as_of < now.as_of);
  if (!before) return null;
  const path = `/api/customers/${encodeURIComponent(id)}/changes?${new URLSearchParams({ since: before.as_of, until: now.as_of })}`;
  return onRequest(page, "What moved the score last", null, path, drawChange);
}

const outcome = ({ churned }) => (known(churned) ? (churned ? "left" : "stayed") : "not known yet");

function periods(subscriptions) {
  if (!subscriptions.length) return null;
  return h("p", { class: "note" }, "Subscriptions: ", subscriptions.map((each) =>
    `${each.plan ?? "unknown plan"} from ${day(each.started_at)}${each.ended_at ? ` to ${day(each.ended_at)}` : ", running"}${each.end_reason ? ` (${each.end_reason})` : ""}`).join("; "), ".");
}

function drawFacts({ facts, next_facts: next }, features) {
  if (!facts.length) return empty("No dated facts are kept of this customer.");
  const names = Object.keys(facts[0].features);
  const about = (name) => features.find((each) => each.column === name || each.name === name);
  return [
    table("Facts by date", ["Date", ...names.map((name) => about(name)?.label ?? name)], facts.map((row) =>
      [day(row.as_of), ...names.map((name) => factText(row.features[name], about(name)?.unit, about(name)?.label))])),
    next && h("p", { class: "fine" }, `Older facts than ${day(next)} are in the API.`),
  ];
}
