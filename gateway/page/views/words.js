// Reasons and facts in words, the same in the list and on a customer's page.

import { h } from "../dom.js";
import { hundredths, known, number } from "../format.js";

const UNSPOKEN = ["count", "currency", "money"];

/** A fact with its unit, unless its label says it: 1, "months" -> "1 month"; 9.9, "USD" -> "9.90 USD"; null -> "unknown". */
export function factText(value, unit = null, label = "") {
  if (!known(value)) return "unknown";
  const isMoney = unit && (unit === "currency" || unit === "money" || /^[A-Z]{3}\b/.test(unit));
  const text = typeof value !== "number" ? String(value) : isMoney ? hundredths(value) : number(value);
  if (!unit || UNSPOKEN.includes(unit) || saysUnit(label, unit)) return text;
  return `${text} ${value === 1 && !isMoney ? unit.replace(/s$/, "") : unit}`;
}

/** "Payment Failures" says "failures", and "Device Count" says "devices". */
const saysUnit = (label, unit) => label.toLowerCase().includes(unit.toLowerCase().replace(/s$/, ""));

/** Groups as the API orders them, by size; those of a tenure from the shortest. */
export const inOrder = (by, groups) => (by === "tenure_months"
  ? [...groups].sort((a, b) => Number.parseInt(a.value ?? "999999", 10) - Number.parseInt(b.value ?? "999999", 10)) : groups);

/** A reason as a few words, with the sign of its points: an arrow for eyes, words for ears. */
export function reasonWords({ label, value, unit, points }) {
  const isUp = points > 0;
  return [
    h("span", { class: isUp ? "push up" : "push down" },
      h("span", { "aria-hidden": "true" }, isUp ? "▲" : "▼"),
      h("span", { class: "unseen" }, isUp ? "adds to the score: " : "takes from the score: ")),
    ` ${label} ${factText(value, unit, label)}`,
  ];
}
