// A customer's probability, step by step: base, reasons, everything else, total. The rounded steps add up as shown.

import { step } from "../charts.js";
import { h } from "../dom.js";
import { cutText, percentOf100, points } from "../format.js";
import { factText } from "./words.js";

const SCALES = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75];

/** The steps in whole tenths of a point, so that what people read adds up; rounding goes to the rest. */
export function steps({ base_probability: base, churn_probability: total, reasons, time_of_year_points: ofYear }) {
  const tenths = (share) => Math.round(share * 1000);
  const parts = reasons.map((r) => ({ name: `${r.label}: ${factText(r.value, r.unit, r.label)}`, tenths: tenths(r.points), share: r.points }));
  if (ofYear) parts.push({ name: "Time of year", tenths: tenths(ofYear), share: ofYear });
  const known = parts.reduce((sum, p) => sum + p.share, 0);
  const rest = tenths(total) - tenths(base) - parts.reduce((sum, p) => sum + p.tenths, 0);
  return [...parts, { name: "Everything else", tenths: rest, share: total - base - known }];
}

/** The table that draws it. */
export function waterfall(customer) {
  const { base_probability: base, churn_probability: total } = customer;
  const parts = steps(customer);
  const highest = parts.reduce((state, p) => ({ at: state.at + p.share, most: Math.max(state.most, state.at + p.share) }), { at: base, most: base }).most;
  const end = SCALES.find((scale) => Math.max(highest, total) <= scale) ?? 1;
  let at = base;
  const drawn = parts.map((part) => {
    const from = at;
    at += part.share;
    const kind = part.tenths > 0 ? "up" : part.tenths < 0 ? "down" : "none";
    return line(part.name, step(from, at, end, kind), points(part.tenths / 10), kind);
  });
  return h("table", { class: "waterfall" },
    h("caption", { class: "unseen" }, "How the probability adds up"),
    h("thead", { class: "unseen" }, h("tr", {}, ["Step", "Drawing", "Points"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {},
      line("Where the model starts", step(0, base, end, "base"), inTenths(base), "base"),
      drawn,
      line("Probability", step(0, total, end, "total"), inTenths(total), "total")),
    h("tfoot", {}, h("tr", {}, h("td", { colspan: 3, class: "fine" }, `Scale: 0 to ${cutText(end)}. “Everything else” includes the rounding.`))));
}

const inTenths = (share) => percentOf100(Math.round(share * 1000) / 10);

function line(name, drawing, amount, kind) {
  return h("tr", { class: kind },
    h("th", { scope: "row" }, name),
    h("td", { class: "drawing" }, drawing),
    h("td", { class: "amount" }, amount));
}
