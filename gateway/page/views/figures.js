// The distribution of risk with its segments, and what weighs most in the model.

import { around, asTable, columns, enlarged, shares, stacked } from "../charts.js";
import { h } from "../dom.js";
import { count, cutText, day, percent, plural } from "../format.js";

/** Customers by probability: all buckets on one scale, then the small ones on a scale of their own. */
export function distribution(buckets, { cut, asOf, version }) {
  const all = buckets.reduce((sum, b) => sum + b.count, 0);
  if (!all) return [h("p", { class: "empty" }, "Nothing is scored yet: the distribution appears with the first scoring run.")];
  const tail = enlarged(buckets);
  const whole = `Customers by probability of leaving, of ${count(all)}: ${
    buckets.map((b) => `${around(b.bucket)}: ${count(b.count)}`).join("; ")}.`;
  return [
    h("div", { class: tail ? "two-charts" : "" },
      h("figure", {}, columns(buckets, { label: whole, cut: tail ? null : cut }),
        h("figcaption", {}, "All customers, by probability in per cent")),
      tail && h("figure", { class: "zoom" },
        columns(tail.buckets, { label: "The small counts of the same chart, enlarged.", cut: inside(tail.buckets, cut) }),
        h("figcaption", {}, `The small counts again, ${count(Math.round(tail.times))} times as tall`))),
    h("p", { class: "fine" }, `${plural(all, "active customer")}; data of ${day(asOf)}, model ${version}. Each column holds the customers whose probability rounds to it.`),
    asTable("Customers by probability of leaving", ["Probability", "Customers"], buckets.map((b) => [around(b.bucket), count(b.count)])),
  ];
}

const inside = (buckets, cut) => (cut >= buckets[0].bucket - 0.05 ? cut : null);

const named = ({ high_above: high, medium_above: medium }) => ({
  "High Risk": { kind: "high", text: `above ${cutText(high)}` },
  "Medium Risk": { kind: "medium", text: `${cutText(medium)} to ${cutText(high)}` },
  "Low Risk": { kind: "low", text: `up to ${cutText(medium)}` },
});

/** How many customers are at which risk. */
export function segments(parts, riskLevels) {
  const all = parts.reduce((sum, p) => sum + p.count, 0);
  if (!all) return [];
  const shown = parts.map((p) => ({ ...p, ...named(riskLevels)[p.segment] }));
  return [
    h("h3", { class: "small-title" }, "Risk segments"),
    stacked(shown),
    h("ul", { class: "legend", "aria-label": "Risk segments" }, shown.map((p) =>
      h("li", {},
        h("span", { class: `swatch ${p.kind}`, "aria-hidden": "true" }),
        h("span", { class: "name" }, p.segment.replace(" Risk", " risk"), h("span", { class: "fine" }, ` ${p.text}`)),
        h("span", { class: "amount" }, count(p.count)),
        h("span", { class: "fine share" }, percent(p.count / all))))),
  ];
}

/** The segments from what two cuts catch: for those who may read but not ask for segments. */
export function segmentsFromCuts(above80, above60) {
  if (above80.customers === null) return [];
  return [
    { segment: "High Risk", count: above80.customers },
    { segment: "Medium Risk", count: above60.customers - above80.customers },
    { segment: "Low Risk", count: above60.all_customers - above60.customers },
  ];
}

/** The five weightiest features. */
export function factors(rows, { version, live }) {
  if (!rows.length) return [h("p", { class: "empty" }, "No model yet: the factors appear with the first training.")];
  const together = rows.reduce((sum, r) => sum + r.value, 0);
  return [
    shares(rows),
    h("p", { class: "fine" }, `Share of the mean absolute SHAP value, of all features together 100 %. These five carry ${percent(together)} in model ${version}${version === live ? "" : `, which made the scores shown; ${live} is live by now`}.`),
  ];
}
