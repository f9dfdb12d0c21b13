// A change of a score: its parts, and the facts one by one. Each is loaded when its button is pressed.

import { get } from "../api.js";
import { meter } from "../charts.js";
import { h } from "../dom.js";
import { day, percent, points } from "../format.js";
import { button } from "../parts.js";
import { factText } from "./words.js";

/** The parts of a change, as docs/definitions.md names them. */
export const PARTS = [["data", "Facts"], ["corrected", "Corrected facts"], ["model", "Model"], ["calibration", "Calibration"], ["time_of_year", "Time of year"], ["unexplained", "Unexplained"]];

/** A button in whose place the answer to a question stands, once somebody asks; `label` names it where there are many of the same text. */
export function onRequest(page, text, label, path, draw) {
  const place = h("div", { tabindex: -1 });
  const more = button(text, () => { more.remove(); place.focus(); page.load(place, () => get(path), draw, { bones: 2 }); }, { kind: "quiet small no-print", "aria-label": label });
  return [more, place];
}

/** Named points, each with a bar beside it, which the number repeats in words. */
export function bars(rows) {
  const shown = rows.filter(({ share }) => Math.abs(share) >= 0.0005);
  if (!shown.length) return h("p", {}, "Nothing moved it by 0.05 points or more.");
  const most = Math.max(...shown.map(({ share }) => Math.abs(share)));
  return h("ul", { class: "part-bars" }, shown.map(({ name, share }) => h("li", {},
    h("span", {}, name), meter(Math.abs(share) / most, share > 0 ? "high" : "low"), h("span", { class: "amount" }, points(share * 100)))));
}

/** The facts that changed, of GET /api/customers/<id>/changes. */
export function drawFeatures({ before, after, features }) {
  const rows = features.map((each) => ({ name: `${each.label}: ${factText(each.before)} → ${factText(each.after)}`, share: each.points }));
  return [
    rows.length ? bars(rows) : h("p", {}, "No fact changed."),
    h("p", { class: "fine" }, `From ${percent(before.churn_probability)} on ${day(before.as_of)} to ${percent(after.churn_probability)} on ${day(after.as_of)}.`),
  ];
}

/** The parts of a change and the facts in it, of the same answer. */
export const drawChange = (found) => [
  h("h3", {}, "Parts of the change"), bars(PARTS.map(([key, name]) => ({ name, share: found.points[key] }))),
  h("h3", {}, "Facts one by one"), ...drawFeatures(found),
];
