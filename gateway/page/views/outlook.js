// Further ahead: leaving within longer horizons, by cause, and what the customer is worth. By the live model, asked for apart.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { known, money, percent, plural } from "../format.js";
import { help } from "../frame/help.js";
import { stats } from "../parts.js";

/** The panel for a scored customer. */
export function outlookPanel(page, id) {
  const { root, body } = panel("Further ahead", { id: "outlook", wide: true, aside: help("horizons", "Further ahead") });
  page.load(body, () => get(`/api/customers/${encodeURIComponent(id)}?outlook=true`), ({ outlook }) => draw(outlook));
  return root;
}

function draw({ within, causes, value, model_version: version }) {
  const reasons = new Set([...within, causes, value].map(({ reason }) => reason).filter(Boolean));
  const soon = within.length ? `within ${plural(within[0].days, "day")}` : null;
  return [
    stats(
      ...within.map(({ days, probability }) => ({ label: `Leaves within ${plural(days, "day")}`, id: `within-${days}`, value: percent(probability), term: "horizons" })),
      known(causes.voluntary) && { label: "Leaves by cancelling", value: percent(causes.voluntary), note: soon, term: "causes" },
      known(causes.involuntary) && { label: "Leaves because payments fail", value: percent(causes.involuntary), note: soon, term: "causes" },
      known(value.lifetime_value) && { label: "Lifetime value", value: money(value.lifetime_value, value.currency), note: `over ${value.months} months`, term: "customer-value" },
      known(value.value_at_risk) && { label: "Value at risk", value: money(value.value_at_risk, value.currency), term: "customer-value" }),
    [...reasons].map((reason) => h("p", { class: "note" }, reason)),
    h("p", { class: "fine" }, `By model ${version} and the present facts.`),
  ];
}
