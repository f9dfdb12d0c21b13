// Line charts, drawn as SVG: text in percentages of the width, curves in a box that is stretched to any width. The style
// keeps room at the left for the ticks.

import { h, s } from "./dom.js";
import { monthTicks } from "./format.js";

const TOP = 14;
const PLOT = 180;
const AXIS = 26;

/**
 * Curves over one axis.
 *
 * `series` are { name, kind, points: [[x, y], …], low, high } with kind "a", "b" or "plain" (each with a dash of its own);
 * low and high are a band of the same length. `marks` are { x, y, kind, name } as dots; `cut` is a line at an x. Gaps
 * (y null) interrupt a curve.
 */
export function lines({ label, series, x, y, marks = [], cut = null, cutText = "" }) {
  const height = TOP + PLOT + AXIS;
  const across = (value) => ((value - x.from) / (x.to - x.from || 1)) * 100;
  const down = (value) => TOP + (1 - (value - y.from) / (y.to - y.from || 1)) * PLOT;
  return s("svg", { class: "chart lines", height, role: "img", "aria-label": label },
    y.ticks.map(([value, text]) => [
      s("line", { class: "grid", x1: 0, x2: "100%", y1: down(value), y2: down(value) }),
      s("text", { class: "tick y", x: 0, dx: -8, y: down(value) + 4 }, text),
    ]),
    x.ticks.filter(([, text], i) => text !== x.ticks[i - 1]?.[1]).map(([value, text]) => s("text", { class: "tick", x: `${across(value)}%`, y: height - 8 }, text)),
    s("svg", { x: 0, y: 0, width: "100%", height, viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      series.map((each) => each.low && s("path", { class: `band ${each.kind}`, d: band(each, across, down) })),
      series.map((each) => s("path", { class: `curve ${each.kind}`, d: path(each.points, across, down), "vector-effect": "non-scaling-stroke" }))),
    marks.map((mark) => s("circle", { class: `mark ${mark.kind}`, cx: `${across(mark.x)}%`, cy: down(mark.y), r: 4.5 }, s("title", {}, mark.name))),
    cut !== null && s("g", { class: "cut" },
      s("line", { x1: `${across(cut)}%`, x2: `${across(cut)}%`, y1: TOP - 4, y2: TOP + PLOT }),
      s("text", { x: `${across(cut)}%`, y: TOP + 4, dx: across(cut) > 60 ? -5 : 5, class: across(cut) > 60 ? "" : "after" }, cutText)));
}

function path(points, across, down) {
  let isOn = false;
  return points.map(([x, y]) => {
    if (y === null || y === undefined) { isOn = false; return ""; }
    const step = `${isOn ? "L" : "M"}${across(x).toFixed(3)} ${down(y).toFixed(2)}`;
    isOn = true;
    return step;
  }).join("");
}

function band({ points, low, high }, across, down) {
  const upper = points.map(([x], i) => `${i ? "L" : "M"}${across(x).toFixed(3)} ${down(high[i]).toFixed(2)}`);
  const lower = points.map(([x], i) => `L${across(x).toFixed(3)} ${down(low[i]).toFixed(2)}`).reverse();
  return `${upper.join("")}${lower.join("")}Z`;
}

/** Return the legend: each curve with a piece of its line, told apart by dashes as well as by colour. */
export function legend(series) {
  return h("ul", { class: "keys" }, series.map(({ name, kind }) => h("li", {},
    s("svg", { class: "key", width: 28, height: 10, "aria-hidden": "true", focusable: "false" },
      s("path", { class: `curve ${kind}`, d: "M0 5L28 5" })),
    name)));
}

/** An axis from 0 to a round number above the largest value, with ticks written by `write`. */
export function axis(most, write, parts = 5) {
  const rough = (most || 1) / parts;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * size).find((each) => each >= rough * 0.999);
  const steps = Math.max(1, Math.ceil(most / step - 1e-9));
  return { from: 0, to: steps * step, ticks: Array.from({ length: steps + 1 }, (_, i) => [i * step, write(i * step)]) };
}

/** An axis over shares, 0 to 100 %. */
export const shareAxis = { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => [share, `${share * 100} %`]) };

/** Ticks of an axis over time: the month of every so many rows, counted from the last; `at` is where a row stands, `dayOf` its day. */
export function monthAxis(rows, at, dayOf, every) {
  const kept = rows.map((row, i) => [at(row, i), dayOf(row), i]).filter(([, , i]) => (rows.length - 1 - i) % every === 0);
  const texts = monthTicks(kept.map(([, text]) => text));
  return kept.map(([place], i) => [place, texts[i]]);
}
