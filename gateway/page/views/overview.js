// The overview: what happened, who is about to leave, what it is worth, whom to contact, and who is new among them.

import { asTable } from "../charts.js";
import { get, post } from "../api.js";
import { h, panel, show } from "../dom.js";
import { axis, lines, monthAxis } from "../lines.js";
import { count, cutText, day, known, percent, plural, points } from "../format.js";
import { empty, heading, shared } from "../frame/page.js";
import { customerAddress, riskAddress } from "../frame/router.js";
import { table } from "../parts.js";
import { cards } from "./cards.js";
import { contactPanel } from "./contact.js";
import { distribution, factors, segments, segmentsFromCuts } from "./figures.js";
import { featuresOf } from "./filters.js";
import { firstSteps, whereWeAre } from "./first.js";
import { reasonWords } from "./words.js";

const LISTED = 10;

export const view = {
  open(page) {
    const view = frame(page);
    const refresh = () => load(page, view);
    refresh();
    return { root: view.root, refresh, work: () => updateButtons(page, view) };
  },
};

function frame(page) {
  const score = h("button", { type: "button", class: "main", onclick: () => page.work.start("score") }, "Score customers now");
  const train = h("button", { type: "button", class: "quiet", onclick: () => page.work.start("train") }, "Train a model");
  const subtitle = h("p", { class: "note" }, "Loading the figures …");
  const cardRow = h("div", { class: "cards" }, [1, 2, 3, 4].map(() => h("div", { class: "card bare" })));
  const contact = panel("If you contact the top of the list", { id: "contact", wide: true, note: "Choose how many people, by rank, number, cut or budget." });
  const top = panel("Who is most likely to leave", { id: "top", note: "The highest probabilities now." });
  const movers = panel("Newly at risk", { id: "movers", note: "Whose probability rose most since the scores of 30 days or more before." });
  const history = panel("Churn over the periods", { id: "history", note: "Logo churn of 30 days at a time." });
  const spread = panel("Distribution of risk", { id: "distribution", note: "How many active customers have which probability of leaving." });
  const weights = panel("What weighs most", { id: "factors", note: "The five features that the model's predictions depend on most." });
  const start = h("div", {});
  const root = h("div", { class: "page" },
    heading("Churn risk", { note: subtitle, actions: page.mayRun ? [train, score] : [] }),
    start, cardRow,
    h("div", { class: "columns uneven" }, top.root, movers.root),
    contact.root,
    h("div", { class: "columns uneven" }, spread.root, weights.root), history.root);
  return { root, score, train, subtitle, cardRow, contact, top, movers, history, spread, weights, start };
}

function updateButtons(page, { score, train }) {
  score.disabled = train.disabled = page.work.isBusy;
}

function load(page, view) {
  const known = shared(async () => {
    const [metrics, status, schema, performance, value] = await Promise.all(
      [get("/api/dashboard/metrics"), get("/api/model/status"), get("/api/schema"), get("/api/predictions/performance"), get("/api/dashboard/value")]);
    return { metrics, status, schema, performance, value, where: whereWeAre(metrics, status, schema), scoredBy: await scoredBy(metrics, status) };
  });
  updateButtons(page, view);
  const cardsDone = page.load(view.cardRow, known, (all) => {
    subtitle(view, all);
    show(view.start, ...firstSteps(page, all.where));
    for (const each of [view.top, view.movers, view.contact, view.spread, view.weights, view.history]) each.root.hidden = !all.where.hasCustomers;
    return cards(all, page);
  });
  const asked = (path) => Promise.all([known(), get(path)]);
  page.load(view.contact.body, () => asked("/api/dashboard/threshold?steps=true"), ([all, found]) =>
    contactPanel(page, found, { metrics: all.metrics.predictedChurners, threshold: all.performance.threshold, currency: all.value.total.currency }));
  page.load(view.spread.body, () => Promise.all([known(), get("/api/dashboard/distribution"), askSegments(page.mayRun)]), ([{ metrics }, buckets, parts]) =>
    [...distribution(buckets, { cut: metrics.predictedChurners.cut, asOf: metrics.predictedChurners.as_of, version: metrics.predictedChurners.model_version }), ...segments(parts, metrics.riskLevels)]);
  page.load(view.weights.body, () => asked("/api/dashboard/features"), ([{ status, schema, scoredBy: other }, rows]) =>
    factors(other ? weightiest(other, schema) : rows.map((row) => ({ ...row, name: inFull(row.name, schema) })), { version: other?.version ?? status.version, live: status.version }));
  page.load(view.top.body, () => get(`/api/customers?limit=${LISTED}`), topList);
  page.load(view.movers.body, () => get(`/api/customers/movers?direction=up&limit=${LISTED}`), moversList);
  page.load(view.history.body, () => get("/api/dashboard/history"), churnHistory);
  return cardsDone;
}

/** The model that made the scores shown, with its report, where another one is live by now; null otherwise. */
async function scoredBy({ predictedChurners: { model_version: version } }, status) {
  return version && version !== status.version ? get(`/api/model/versions/${encodeURIComponent(version)}`) : null;
}

/** The features that weigh most in a model, by its report, as GET /api/dashboard/features gives those of the live one, which shortens their names. */
const weightiest = ({ report }, schema) => report.importance.slice(0, 5).map(({ name, importance }) => {
  return { name: schema.table_schema?.features?.[name]?.label ?? name, value: importance };
});

/** The name that the other panels give a feature, for the short one of the documented field: "Sub Age" is "Subscription Age". */
const inFull = (short, schema) => featuresOf(schema).find((each) => each.short === short)?.label ?? short;

function subtitle(view, { metrics: { predictedChurners: p }, schema }) {
  const parts = p.as_of ? [plural(p.customers, "active customer"), `data of ${day(p.as_of)}`, `model ${p.model_version}`] : ["Nobody is scored yet"];
  show(view.subtitle, parts.join(" · "),
    schema.is_demo && h("span", { class: "badge", title: "Simulated subscribers, made for the demo" }, "simulated demo data"));
}

/** Segments are asked for by those who may; others get them from what the two limits catch. */
async function askSegments(mayAsk) {
  if (mayAsk) return (await post("/api/customers/segment")).segments;
  const { riskLevels } = await get("/api/dashboard/metrics");
  const cuts = await Promise.all([riskLevels.high_above, riskLevels.medium_above].map((cut) => get(`/api/dashboard/threshold?cut=${cut}`)));
  return segmentsFromCuts(...cuts);
}

function topList({ customers, total_text: total }) {
  if (!customers.length) return empty("Nobody is scored yet.");
  return [
    table("The likeliest leavers", ["Customer", "Plan", { text: "Probability", numeric: true }, "First reason"], customers.map((c) => [
      h("a", { href: customerAddress(c.user_id) }, c.user_id), c.plan ?? "–", percent(c.churn_probability), c.reasons.length ? [reasonWords(c.reasons[0]), `: ${points(c.reasons[0].points * 100)}`] : "–"])),
    h("p", {}, h("a", { href: "#/customers" }, `All ${total} customers`)),
  ];
}

function moversList({ customers, as_of: until, compared_with: since }) {
  if (!since) return empty("Needs scores of 30 days before: they come with the next month's scoring run.");
  const all = h("p", {}, h("a", { href: riskAddress(since, until) }, "All, with reasons"));
  if (!customers.length) return [empty(`Nobody's probability rose since ${day(since)}.`), all];
  return [
    table(`Risen since ${day(since)}`, ["Customer", "Plan", { text: "Then", numeric: true }, { text: "Now", numeric: true }], customers.map((c) => [
      h("a", { href: customerAddress(c.user_id) }, c.user_id), c.plan ?? "–", percent(c.before), percent(c.churn_probability)])),
    h("p", { class: "fine" }, `Compared with the scores of ${day(since)}.`), all,
  ];
}

function churnHistory(periods) {
  if (!periods.length) return empty("Needs subscriptions with start and end dates.");
  const rows = [...periods].reverse();
  const most = axis(Math.max(...rows.map((row) => row.rate ?? 0)), cutText);
  const every = Math.ceil(rows.length / 7);
  const x = { from: 0, to: rows.length - 1, ticks: monthAxis(rows, (row, i) => i, (row) => row.end, every) };
  const label = `Churn rate by period of 30 days: ${rows.map((row) => `until ${day(row.end)} ${percent(row.rate)}`).join("; ")}.`;
  return [
    h("figure", {}, lines({
      label, x, y: most, series: [{ name: "Churn rate", kind: "a", points: rows.map((row, i) => [i, row.rate]) }],
      marks: rows.map((row, i) => ({ x: i, y: row.rate, kind: "", name: `${day(row.start)} to ${day(row.end)}: ${percent(row.rate)} of ${count(row.active_at_start)}` })).filter((mark) => known(mark.y)),
    }), h("figcaption", {}, "Churn rate of 30 days, by the period's end")),
    asTable("Churn rate by period", ["From", "To", "Active at start", "Left", "Rate"], rows.map((row) =>
      [day(row.start), day(row.end), count(row.active_at_start), count(row.left), percent(row.rate)])),
  ];
}
