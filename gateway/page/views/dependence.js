// How the points of a feature go with its value, over a sample of the customers who are shown: bands or categories, each with
// the mean, the middle four fifths, and how many customers it holds.

import { get } from "../api.js";
import { asTable } from "../charts.js";
import { h, panel, s } from "../dom.js";
import { count, day, plural, points } from "../format.js";
import { help } from "../frame/help.js";
import { empty } from "../frame/page.js";
import { field, select } from "../parts.js";

const HEIGHT = 22;

/** The panel; the feature stands in the address. */
export function dependencePanel(page) {
  const { root, body } = panel("How each feature moves the score", { id: "dependence", wide: true, aside: help("points-by-value", "Points by value"),
    note: "From the reasons of customers who are scored. It shows how the model’s points go with a feature’s value, not what a change of it would do." });
  const place = h("div", { class: "panel-body" });
  body.replaceChildren(place);
  page.load(place, () => get("/api/model/dependence"), (found) => draw(page, found), { bones: 6 });
  return root;
}

function draw(page, { features, reason, sampled, customers, model_version: version, as_of: asOf }) {
  if (reason) return empty(reason);
  const wanted = page.query.get("feature");
  const chosen = features.find((each) => each.feature === wanted) ?? features[0];
  const shown = h("div", { class: "panel-body" }, ...chart(chosen));
  const choice = select(features.map((each) => [each.feature, each.label]), chosen.feature, { onchange: () => {
    page.go({ feature: choice.value }, { replace: true, quiet: true });
    shown.replaceChildren(...chart(features.find((each) => each.feature === choice.value)));
  } });
  return [
    h("div", { class: "form" }, field("Feature", choice, { hint: "The most important first.", roomy: true })),
    shown,
    h("p", { class: "fine" }, `${sampled < customers ? `A sample of ${count(sampled)} of ${count(customers)} customers` : `${count(sampled)} customers`}, model ${version}, data of ${day(asOf)}, each with their present facts.`),
  ];
}

function chart({ label, unit, kind, groups, left_out: leftOut }) {
  if (!groups.length) return [empty("No value is shared by ten customers, so there is nothing to sum up.")];
  const most = Math.max(...groups.flatMap((each) => [Math.abs(each.low), Math.abs(each.high), Math.abs(each.mean)])) || 1;
  const rows = groups.map((each) => ({ ...each, name: named(each, unit) }));
  const told = rows.map((each) => `${each.name}: ${points(each.mean * 100)}`).join("; ");
  return [
    h("figure", {},
      h("div", { class: "bands", role: "img", "aria-label": `Mean points by ${label}. ${told}.` }, rows.map((each) => h("div", { class: "band-row", "aria-hidden": "true" },
        h("span", {}, each.name, h("span", { class: "fine block" }, plural(each.n, "customer"))), strip(each, most), h("span", { class: "amount" }, points(each.mean * 100))))),
      h("figcaption", {}, `Points of ${label}: the dot is the mean, the bar holds the middle four fifths of the customers; the line is no points`)),
    asTable(`Points by ${label}`, [kind === "number" ? label + (unit ? `, ${unit}` : "") : label, "Customers", "Mean points", "First decile", "Ninth decile"],
      rows.map((each) => [each.name, count(each.n), points(each.mean * 100), points(each.low * 100), points(each.high * 100)])),
    leftOut > 0 && h("p", { class: "fine" }, `${count(leftOut)} customers are not shown: fewer than ten share their value.`),
  ].filter(Boolean);
}

function named({ value, lowest, highest }, unit) {
  if (value !== null) return value;
  if (lowest === null) return "Unknown";
  const write = (number) => number.toLocaleString(undefined, { maximumFractionDigits: 2 });
  return `${lowest === highest ? write(lowest) : `${write(lowest)} to ${write(highest)}`}${unit ? ` ${unit}` : ""}`;
}

function strip({ low, high, mean }, most) {
  const at = (value) => 50 + (value / most) * 48;
  return s("svg", { class: "band-strip", height: HEIGHT, focusable: "false", "aria-hidden": "true" },
    s("line", { class: "axis", x1: "50%", x2: "50%", y1: 0, y2: HEIGHT }),
    s("line", { class: "spread", x1: `${at(low)}%`, x2: `${at(high)}%`, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    s("circle", { class: mean < 0 ? "dot down" : "dot up", cx: `${at(mean)}%`, cy: HEIGHT / 2, r: 4.5 }));
}
