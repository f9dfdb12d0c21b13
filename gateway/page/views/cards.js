// The three documented figures as cards, each with what it means and what it needs to be judged.

import { h } from "../dom.js";
import { help } from "../frame/help.js";
import { change, count, cutText, day, hundredths, interval, known, money, NONE, number, numberIn, percentOf100, plural, points, score, within } from "../format.js";

/** The cards: the answer of GET /api/dashboard/metrics, money at risk of GET /api/dashboard/value. */
export function cards({ metrics, value, where, scoredBy }) {
  const { as_of: asOf, model_version: version, customers } = metrics.predictedChurners;
  const judge = asOf ? [`Scores of ${day(asOf)}, model ${version}`, `n = ${plural(customers, "customer")}`] : [];
  return [
    churnRate(metrics.churnRate, where),
    predicted(metrics.predictedChurners, where, judge),
    atRisk(value, where, judge),
    auc(metrics.modelAuc, scoredBy),
  ];
}

function atRisk({ total, assumptions: a }, where, judge) {
  return card({
    id: "at-risk",
    title: "Revenue at risk",
    term: "revenue-at-risk",
    judge,
    value: money(total.revenue_at_risk, total.currency),
    why: known(total.revenue_at_risk) ? null : total.reason ?? (where.hasCustomers ? "Nobody is scored yet." : "No customers yet."),
    facts: [
      ["Value at risk", money(total.value_at_risk, total.currency), known(total.value_at_risk) ? `over ${a.months} months` : total.reason],
      !total.currency && ["Currency", NONE, "none or several are known"],
      ["Assumed", `margin ${cutText(a.margin)}`],
    ],
    definition: "Monthly recurring revenue times the probability of leaving, added up over everyone: what may go within the days that the scores cover.",
    more: [" ", h("a", { href: "#/value" }, "By plan")],
  });
}

function card({ id, title, term, judge = [], value, why, definition, facts, badge = null, more = null }) {
  return h("section", { class: "card", id, "aria-labelledby": `${id}-title` },
    h("div", { class: "panel-head" }, h("h2", { id: `${id}-title` }, title), help(term, title, judge)),
    h("p", { class: "figure" },
      h("span", { class: "figure-value", "data-figure": id }, value), badge),
    why && h("p", { class: "why" }, why),
    h("dl", { class: "facts" }, facts.filter(Boolean).map(([term, text, reason]) =>
      h("div", {}, h("dt", {}, term), h("dd", {}, text, reason && h("span", { class: "why" }, ` ${reason}`))))),
    h("p", { class: "definition" }, definition, more));
}

function churnRate(figures, where) {
  const moved = numberIn(figures.change);
  const needsTwo = "needs two periods of history";
  return card({
    id: "churn-rate",
    title: "Churn rate",
    term: "logo-churn",
    judge: [`Period until ${day(figures.period_end)}`, `n = ${count(figures.active_at_start)} active at its start`],
    value: percentOf100(figures.current),
    why: known(figures.current) ? null : where.hasCustomers ? "Needs subscriptions with start and end dates." : "No customers yet.",
    badge: known(moved) && delta(`${points(moved)}`, moved),
    facts: [
      // Two decimals, because a change of rounded figures need not be the rounded change.
      ["Before → now", known(figures.previous) ? `${hundredths(figures.previous)} → ${hundredths(figures.current)} %` : NONE,
        known(figures.previous) ? null : needsTwo],
      ["Period ends", day(figures.period_end)],
      ["Active at its start", count(figures.active_at_start)],
    ],
    definition: "Share of the customers active at the period's start who left within its 30 days. The period ends where all ends are known. New customers are not counted.",
  });
}

function predicted(figures, where, judge) {
  const moved = numberIn(figures.change);
  const mean = numberIn(figures.confidence);
  const unscored = where.hasCustomers ? "Nobody is scored yet." : "No customers yet.";
  const none = figures.count === 0 ? "nobody is above the cut" : null;
  return card({
    id: "predicted-churners",
    title: "Predicted churners",
    term: "list-cut",
    judge: [...judge, leaversNote(figures)],
    value: count(figures.count),
    why: known(figures.count) ? null : unscored,
    badge: known(moved) && delta(change(moved), moved),
    facts: [
      ["Their mean probability", known(mean) ? cutText(mean / 100) : NONE, known(figures.count) ? none : null],
      ["Expected leavers", number(figures.expected), leaversNote(figures)],
      ["Data of", day(figures.as_of), known(figures.as_of) ? `model ${figures.model_version}` : null],
      !known(moved) && known(figures.count) && ["Change", NONE, "needs a run 30 days before"],
    ],
    definition: `Active customers whose probability of leaving${within(where.horizonDays)} is above ${cutText(figures.cut)}${
      known(figures.customers) ? `, of ${count(figures.customers)}` : ""}. Expected leavers and revenue add up the probabilities of everyone.`,
  });
}

function leaversNote(figures) {
  const [low, high] = figures.expected_interval || [];
  const notes = [
    known(low) && `95 %: ${interval([low, high])}`,
    figures.expected_note && !known(figures.expected) && figures.expected_note,
    figures.older_facts > 0 && `without ${count(figures.older_facts)} whose facts are older than ${day(figures.facts_from)}`,
  ];
  return notes.filter(Boolean).join("; ") || null;
}

/** `scoredBy`: the model that made the scores shown, where another one is live by now. */
function auc(live, scoredBy) {
  const isGood = live.status === "Stable";
  const figures = scoredBy ? { version: scoredBy.version, score: scoredBy.auc, n: scoredBy.n } : live;
  return card({
    id: "model-auc",
    title: "Model AUC",
    term: "auc",
    judge: [`Model ${figures.version ?? NONE}`, `n = ${count(figures.n)} held-out records`],
    value: score(figures.score),
    why: known(figures.score) ? null : "No model is trained yet.",
    badge: !scoredBy && live.status && h("span", { class: isGood ? "badge good" : "badge warn" }, live.status),
    facts: [
      ["Model", figures.version ?? NONE, scoredBy && "made the scores shown"],
      ["Held-out records", count(figures.n)],
      scoredBy && ["Live by now", live.version ?? NONE, live.version && `AUC ${score(live.score)}, ${live.status}; its scores come with the next run`],
    ],
    definition: "How often the model ranks a leaver above a stayer (0.5 is chance, 1 is perfect), on records it was not trained on.",
    more: known(figures.score) && [" ", h("a", { href: "#/model" }, "Precision, recall and F1"), " · ", h("a", { href: "#/model/live" }, "Did past predictions come true?")],
  });
}

/** A change; for these figures up is bad, and the sign says so without the colour. */
function delta(text, value) {
  const kind = value > 0 ? "worse" : value < 0 ? "better" : "same";
  return h("span", { class: `delta ${kind}` }, text, h("span", { class: "delta-since" }, " vs 30 days before"));
}
