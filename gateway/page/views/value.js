// Money at risk: in all and by plan, under assumptions that can be changed and stand in the address.

import { get } from "../api.js";
import { meter } from "../charts.js";
import { h, panel } from "../dom.js";
import { count, cutText, day, interval, known, money, number, percent, plural } from "../format.js";
import { empty, heading, shared } from "../frame/page.js";
import { address } from "../frame/router.js";
import { field, stats, table } from "../parts.js";

/** Assumptions of GET /api/dashboard/value: name, label, and how the field is read. */
const TERMS = [
  ["margin", "Margin, %", 100], ["discount", "Discount a year, %", 100], ["months", "Months looked ahead", 1],
  ["clv", "Worth of one who stays", 1], ["offer", "Cost of an accepted offer", 1], ["contact", "Cost of a contact", 1],
];

export const view = {
  open(page) {
    const total = panel("At risk", { id: "value-total", wide: true });
    const plans = panel("By plan", { id: "value-plans", wide: true, note: "The largest revenue at risk first. A plan leads to its customers." });
    const contact = panel("How many contacts pay", { id: "value-contact", wide: true });
    const terms = panel("Assumptions", { id: "value-terms", wide: true, note: "Nothing of this is measured; it is yours to set." });
    const inputs = Object.fromEntries(TERMS.map(([name]) => [name, h("input", { type: "number", name, min: 0, step: "any", inputmode: "decimal" })]));
    const refresh = () => load(page, { total, plans, contact, inputs });
    terms.body.replaceChildren(form(page, inputs));
    refresh();
    return { root: h("div", { class: "page" }, heading("Value"), total.root, plans.root, contact.root, terms.root), refresh };
  },
};

function form(page, inputs) {
  const submit = (event) => {
    event.preventDefault();
    page.go(Object.fromEntries(TERMS.map(([name, , times]) => [name, inputs[name].value === "" ? null : Number(inputs[name].value) / times])));
  };
  return h("form", { class: "form", onsubmit: submit },
    TERMS.map(([name, label]) => field(label, inputs[name])), h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Apply")));
}

function load(page, { total, plans, contact, inputs }) {
  const wanted = new URLSearchParams([...page.query].filter(([key]) => TERMS.some(([name]) => name === key)));
  const ask = shared(async () => {
    const found = await get(`/api/dashboard/value?${wanted}`);
    for (const [name, , times] of TERMS) inputs[name].value = String(Math.round(found.assumptions[name] * times * 1000) / 1000);
    return found;
  });
  page.load(total.body, ask, drawTotal);
  page.load(plans.body, ask, drawPlans);
  page.load(contact.body, ask, drawContact);
}

function drawTotal({ total, as_of: asOf, model_version: version, assumptions: a }) {
  if (!asOf) return empty(total.reason);
  const judge = [`Scores of ${day(asOf)}, model ${version}`, `n = ${plural(total.customers, "customer")}`];
  return [
    stats(
      { label: "Revenue at risk", id: "revenue-at-risk", value: money(total.revenue_at_risk, total.currency), note: known(total.revenue_at_risk) ? "a month" : total.reason, term: "revenue-at-risk", judge },
      { label: "Value at risk", id: "value-at-risk", value: money(total.value_at_risk, total.currency), note: known(total.value_at_risk) ? `over ${a.months} months` : total.reason, term: "value-at-risk", judge },
      { label: "Expected leavers", value: number(total.expected_leavers), note: interval(total.expected_interval) && `95 %: ${interval(total.expected_interval)}`, term: "expected-churners", judge: [...judge, interval(total.expected_interval)] },
      { label: "Customers", value: count(total.customers), note: `data of ${day(asOf)}` }),
    h("p", { class: "fine" }, `Assumed: margin ${cutText(a.margin)}, discount ${cutText(a.discount)} a year, ${a.months} months ahead. `,
      known(total.revenue_at_risk) && !total.currency && "No single currency is known: amounts are the plain numbers of the prices."),
  ];
}

function drawPlans({ by_plan: plans }) {
  if (!plans.length) return empty("Nobody is scored yet.");
  const most = Math.max(...plans.map((plan) => plan.revenue_at_risk ?? 0)) || 1;
  const numeric = (text) => ({ text, numeric: true });
  return [table("Money at risk by plan", ["Plan", numeric("Customers"), numeric("Expected leavers"), numeric("95 % interval"), numeric("Revenue at risk a month"), { text: "", unseen: "Drawn" }, numeric("Value at risk")],
    plans.map((plan) => [
      plan.plan === null ? "Unknown" : h("a", { href: address("customers", { plan: plan.plan, sort: "-revenue_at_risk" }) }, plan.plan),
      count(plan.customers), number(plan.expected_leavers), interval(plan.expected_interval) ?? "–",
      known(plan.revenue_at_risk) ? money(plan.revenue_at_risk, plan.currency) : plan.reason ?? "–",
      h("span", { class: "bar-cell" }, meter((plan.revenue_at_risk ?? 0) / most, "plain")),
      known(plan.value_at_risk) ? money(plan.value_at_risk, plan.currency) : plan.reason ?? "–"])),
    h("p", {}, h("a", { href: "#/segments" }, "By any other group"))];
}

function drawContact({ contact, assumptions: a, total }) {
  if (!known(contact?.top)) return empty(contact?.reason ?? "Nobody is scored yet.");
  return [
    stats(
      { label: "Contact the top", id: "contact-top", value: count(contact.top), note: percent(contact.share), term: "contacts-that-pay" },
      { label: "Expected leavers among them", value: number(contact.expected_leavers), note: interval(contact.expected_interval) && `95 %: ${interval(contact.expected_interval)}`, term: "expected-churners" },
      { label: "Pays from a probability of", value: percent(contact.break_even), note: "a contact below that costs more than it brings" },
      { label: "Expected profit", value: money(contact.expected_profit, total.currency), note: "under the assumptions" }),
    h("p", { class: "note" }, `Assumed: one who stays is worth ${money(a.clv, total.currency)}, an accepted offer costs ${money(a.offer, total.currency)}, a contact ${money(a.contact, total.currency)}; on average ${percent(a.gamma_mean)} of the leavers accept.`),
    h("p", {}, h("a", { href: address("", { top: contact.top }) }, "Try other numbers of people")),
  ];
}
