// If the top N are contacted: whom that catches, what it costs, what it would earn under assumptions that stand beside it.

import { lines, axis, shareAxis } from "../lines.js";
import { asTable } from "../charts.js";
import { h, show } from "../dom.js";
import { compact, count, cutText, day, known, money, number, percent, plural } from "../format.js";
import { address } from "../frame/router.js";
import { button, field, stats } from "../parts.js";

/** Shares of the customers, by rank: words such as High belong to the documented fields alone. */
const RANKS = [0.01, 0.05, 0.2];
const DEFAULTS = { stay: 30, worth: 200, offer: 10, contact: 1 };

/** Return the figures of the top `people`: exact at every thousandth of probability, in proportion between two. */
export function caught(steps, people) {
  let before = { customers: 0, expected_leavers: 0, revenue_at_risk: 0, cut: 1 };
  for (const step of steps) {
    if (step.customers >= people) return between(before, step, people);
    before = step;
  }
  return between(before, before, people);
}

function between(from, to, people) {
  const share = to.customers === from.customers ? 0 : (people - from.customers) / (to.customers - from.customers);
  const at = (name) => (known(from[name]) && known(to[name]) ? from[name] + share * (to[name] - from[name]) : null);
  return { people, leavers: at("expected_leavers"), revenue: at("revenue_at_risk"), cut: to.cut };
}

/** Return the cost of a campaign, and its profit if `stay` per cent of the leavers among those contacted took the offer and stayed. */
export function earning({ people, leavers }, { stay, worth, offer, contact }) {
  if (!known(leavers)) return { cost: null, profit: null, kept: null };
  const kept = leavers * (stay / 100);
  const cost = people * contact + (people - leavers + kept) * offer;
  return { kept, cost, profit: kept * worth - cost };
}

/** The panel's content for GET /api/dashboard/threshold?steps=true; every choice is in the address. */
export function contactPanel(page, { steps, all_customers: all, expected_note: note }, { metrics, threshold, currency }) {
  if (!steps?.length) return [h("p", { class: "empty" }, "Nobody is scored yet: with the first scores this says what contacting the likeliest leavers would earn.")];
  const total = steps[steps.length - 1];
  const figures = h("div", { class: "panel-body", "aria-live": "polite" });
  const slider = h("input", { type: "range", min: 0, max: 1000, step: 1 });
  const inputs = numbers();
  const chart = h("div", {});
  const state = { people: 0 };
  const draw = () => show(figures, ...result(state.people, { steps, total, all, inputs, currency, note }));
  const set = (people, { from = null, store = true } = {}) => {
    state.people = Math.max(0, Math.min(all, Math.round(people)));
    const found = caught(steps, state.people);
    if (from !== slider) slider.value = String(positionOf(state.people, all));
    if (from !== inputs.people) inputs.people.value = String(state.people);
    if (from !== inputs.cut) inputs.cut.value = String(Math.round(found.cut * 1000) / 10);
    if (from !== inputs.budget) inputs.budget.value = String(Math.round(earning(found, read(inputs)).cost ?? 0));
    slider.setAttribute("aria-valuetext", plural(state.people, "person", "people"));
    draw();
    if (store) page.go(choice(state.people, inputs), { replace: true, quiet: true });
  };
  listen({ slider, inputs, set, steps, all, state });
  show(chart, ...gainChart(steps, total, all));
  const start = Number(page.query.get("top")) || Math.round(all * 0.05);
  for (const name of Object.keys(DEFAULTS)) inputs[name].value = page.query.get(name) ?? DEFAULTS[name];
  set(start, { store: false });
  return [ranks(all, set, { steps, threshold }), h("div", { class: "slider" }, field("People contacted, from the highest score down", slider)),
    h("div", { class: "form" },
      field("People", inputs.people), field("or a cut, in %", inputs.cut), field(`or a budget${currency ? `, ${currency}` : ""}`, inputs.budget)),
    figures,
    h("h3", {}, "Assumptions"),
    h("div", { class: "form" },
      field("Leavers who would stay, %", inputs.stay), field("Worth of one who stays", inputs.worth), field("Cost of an accepted offer", inputs.offer), field("Cost of a contact", inputs.contact)),
    chart,
    h("p", { class: "fine" }, `Data of ${day(metrics.as_of)}, model ${metrics.model_version}; ${plural(all, "customer")}. Leavers are expected ones: the sum of the probabilities.`)];
}

function numbers() {
  const input = (most) => h("input", { type: "number", min: 0, max: most, step: "any", inputmode: "decimal" });
  return { people: input(), cut: input(100), budget: input(), stay: input(100), worth: input(), offer: input(), contact: input() };
}

const read = (inputs) => Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, Number(inputs[name].value) || 0]));

function choice(people, inputs) {
  const changed = Object.entries(DEFAULTS).map(([name, usual]) => [name, Number(inputs[name].value) === usual ? null : inputs[name].value]);
  return { top: people, ...Object.fromEntries(changed) };
}

/** A slider that has room for the few at the top: its position goes with the square root of the share. */
const positionOf = (people, all) => Math.round(Math.sqrt(people / (all || 1)) * 1000);
const peopleAt = (position, all) => (position / 1000) ** 2 * all;

function listen({ slider, inputs, set, steps, all, state }) {
  slider.addEventListener("input", () => set(peopleAt(Number(slider.value), all), { from: slider }));
  inputs.people.addEventListener("input", () => set(Number(inputs.people.value), { from: inputs.people }));
  inputs.cut.addEventListener("input", () => set(above(steps, Number(inputs.cut.value) / 100), { from: inputs.cut }));
  inputs.budget.addEventListener("input", () => set(affordable(steps, all, Number(inputs.budget.value), read(inputs)), { from: inputs.budget }));
  for (const name of Object.keys(DEFAULTS)) inputs[name].addEventListener("input", () => set(state.people, { from: inputs[name] }));
}

const above = (steps, cut) => steps.reduce((most, step) => (step.cut >= cut - 1e-9 ? step.customers : most), 0);

/** The most people whose cost a budget covers. */
function affordable(steps, all, budget, terms) {
  let [low, high] = [0, all];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((earning(caught(steps, middle), terms).cost ?? Infinity) <= budget) low = middle;
    else high = middle - 1;
  }
  return low;
}

function ranks(all, set, { steps, threshold }) {
  return h("div", { class: "choices", role: "group", "aria-label": "Priority by rank" },
    RANKS.map((share) => button(`Top ${share * 100} %`, () => set(Math.ceil(all * share)))),
    known(threshold) && button(`Model's threshold, ${cutText(threshold)}`, () => set(above(steps, threshold))));
}

function result(people, { steps, total, all, inputs, currency, note }) {
  const found = caught(steps, people);
  const terms = read(inputs);
  const { kept, cost, profit } = earning(found, terms);
  const isCounted = known(found.leavers);
  const reason = isCounted ? null : note;
  return [
    stats(
      { label: "People contacted", id: "people", value: count(people), note: `${percent(people / (all || 1))} of ${count(all)}; down to ${cutText(found.cut)}` },
      { label: "Leavers caught", id: "leavers", value: number(found.leavers), note: reason ?? `of ${number(total.expected_leavers)} expected`, term: "expected-churners" },
      { label: "False alarms", id: "false-alarms", value: isCounted ? number(people - found.leavers) : "–", note: "contacted who would stay" },
      { label: "Precision", id: "precision", value: isCounted && people ? percent(found.leavers / people) : "–", note: "of those contacted leave", term: "precision-recall" },
      { label: "Recall", id: "recall", value: isCounted && total.expected_leavers ? percent(found.leavers / total.expected_leavers) : "–", note: "of the leavers are caught", term: "precision-recall" },
      { label: "Revenue at risk", id: "contact-revenue", value: money(found.revenue, currency), note: known(found.revenue) ? "a month, among them" : "needs every customer's price", term: "revenue-at-risk" },
      { label: "Cost", id: "cost", value: money(cost, currency), note: "contacts and accepted offers" },
      { label: "Profit, as assumed", id: "profit", value: money(profit, currency), note: known(kept) ? `${number(kept)} would stay` : null, term: "contacts-that-pay" }),
    h("p", { class: "note", id: "assumption" }, `Assumed, not measured: ${number(terms.stay)} % of the leavers contacted accept and stay, each worth ${money(terms.worth, currency)}; everybody who would stay anyway accepts the offer of ${money(terms.offer, currency)} too; a contact costs ${money(terms.contact, currency)}.`),
    h("p", {}, h("a", { href: address("customers", { min_probability: found.cut || null }) }, "Show these customers")),
  ];
}

/** An axis that ends with the last person. */
function upTo(all) {
  const { ticks } = axis(all, compact);
  return { from: 0, to: all, ticks: ticks.filter(([value]) => value <= all) };
}

function gainChart(steps, total, all) {
  if (!known(total.expected_leavers) || !total.expected_leavers) return [];
  const every = Math.max(1, Math.floor(steps.length / 120));
  const kept = steps.filter((_, i) => i % every === 0 || i === steps.length - 1);
  const points = [[0, 0], ...kept.map((step) => [step.customers, step.expected_leavers / total.expected_leavers])];
  const label = `Share of the expected leavers caught by people contacted: ${RANKS.map((share) => `the top ${share * 100} % hold ${percent(caught(steps, all * share).leavers / total.expected_leavers)}`).join("; ")}.`;
  return [
    h("figure", {}, lines({ label, series: [{ name: "Leavers caught", kind: "a", points }], x: upTo(all), y: shareAxis }),
      h("figcaption", {}, "Share of the expected leavers caught, by people contacted")),
    asTable("Leavers caught by people contacted", ["People", "Leavers caught", "Share of all leavers", "Lowest probability"],
      [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1].map((share) => caught(steps, Math.round(all * share))).map((step) =>
        [count(step.people), number(step.leavers), percent(step.leavers / total.expected_leavers), cutText(step.cut)])),
  ];
}
