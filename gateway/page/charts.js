// Charts, drawn as SVG with percentages across and pixels down: they fit any width without being drawn again.

import { h, s } from "./dom.js";
import { compact, count, cutText, percent } from "./format.js";

const TOP = 22;
const PLOT = 140;
const AXIS = 26;
const LEAST_BAR = 2;

/**
 * Columns over an axis of probabilities, each with its count. The scale is linear; what it makes too small to see is
 * the business of `enlarged`.
 */
export function columns(buckets, { label, cut = null }) {
  const most = Math.max(1, ...buckets.map((b) => b.count));
  const step = 100 / buckets.length;
  const height = TOP + PLOT + AXIS;
  const at = (i) => `${(i + 0.5) * step}%`;
  const drawn = buckets.flatMap((b, i) => {
    const tall = b.count ? Math.max(LEAST_BAR, (b.count / most) * PLOT) : 0;
    const y = TOP + PLOT - tall;
    return [
      s("rect", { class: "bar", x: `${(i + 0.14) * step}%`, width: `${step * 0.72}%`, y, height: tall, rx: 2 },
        s("title", {}, `${around(b.bucket)}: ${count(b.count)}`)),
      s("text", { class: b.count ? "value" : "value nothing", x: at(i), y: y - 6 }, compact(b.count)),
      s("text", { class: "tick", x: at(i), y: height - 8 }, `${Math.round(b.bucket * 100)}`),
    ];
  });
  return s("svg", { class: "chart", height, role: "img", "aria-label": label },
    s("line", { class: "axis", x1: 0, x2: "100%", y1: TOP + PLOT, y2: TOP + PLOT }),
    cut !== null && cutLine(buckets, cut, step), drawn);
}

function cutLine(buckets, cut, step) {
  const x = `${((cut - buckets[0].bucket) * 10 + 0.5) * step}%`;
  return s("g", { class: "cut" },
    s("line", { x1: x, x2: x, y1: 8, y2: TOP + PLOT }),
    s("text", { x, y: 8, dx: -5 }, `cut ${cutText(cut)}`));
}

/** The part of a distribution that the whole makes invisible, or null: the tail of buckets below an eighth of the most. */
export function enlarged(buckets) {
  const most = Math.max(...buckets.map((b) => b.count));
  let first = buckets.length;
  while (first > 0 && buckets[first - 1].count < most / 8) first -= 1;
  const tail = buckets.slice(first);
  const tallest = Math.max(0, ...tail.map((b) => b.count));
  return first > 0 && tail.length > 2 && tallest > 0 ? { buckets: tail, times: most / tallest } : null;
}

/** The range of a bucket, in words: 0.3 -> "25 to 35 %", 0 -> "below 5 %". */
export function around(bucket) {
  if (bucket === 0) return "below 5 %";
  if (bucket === 1) return "95 % and more";
  return `${Math.round(bucket * 100 - 5)} to ${Math.round(bucket * 100 + 5)} %`;
}

/** Named shares as horizontal bars, longest first; the rows are text, so they need no other description. */
export function shares(rows) {
  const most = Math.max(0.0001, ...rows.map((r) => r.value));
  return h("ol", { class: "shares" }, rows.map((row) =>
    h("li", {},
      h("span", { class: "name" }, row.name),
      meter(row.value / most, "bare"),
      h("span", { class: "amount" }, percent(row.value)))));
}

/** A bar of a share of its width; it repeats a number that stands beside it. */
export function meter(share, kind = "") {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return s("svg", { class: `meter ${kind}`, height: 8, "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "track", width: "100%", height: 8, rx: 4 }),
    s("rect", { class: "fill", width, height: 8, rx: 4 }));
}

/** Parts of a whole as one bar; parts that exist stay visible. */
export function stacked(parts) {
  const total = parts.reduce((sum, p) => sum + p.count, 0) || 1;
  let from = 0;
  const drawn = parts.map((part) => {
    const width = part.count ? Math.max(0.6, (part.count / total) * 100) : 0;
    const x = from;
    from += width;
    return s("rect", { class: part.kind, x: `${x}%`, width: `${width}%`, height: 12 });
  });
  return s("svg", { class: "stacked", height: 12, "aria-hidden": "true", focusable: "false" }, drawn);
}

/** One step of a waterfall: from one probability to another, on a scale that ends at `end`. */
export function step(from, to, end, kind) {
  const x = (Math.min(from, to) / end) * 100;
  const width = Math.max(0.4, (Math.abs(to - from) / end) * 100);
  const edge = `${(to / end) * 100}%`;
  return s("svg", { class: `step ${kind}`, height: 26, "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "ground", width: "100%", height: 26 }),
    s("rect", { class: "move", x: `${Math.min(x, 99.6)}%`, width: `${width}%`, y: 5, height: 16, rx: 2 }),
    s("line", { class: "edge", x1: edge, x2: edge, y1: 5, y2: 26 }));
}

/** The same figures as a table, folded away. */
export function asTable(caption, heads, rows) {
  return h("details", { class: "as-table" },
    h("summary", {}, "Show as table"),
    h("div", { class: "scrolls" }, h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))))));
}
