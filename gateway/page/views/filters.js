// The filters of the list: what the address says, as the API takes it, as fields, and in words.

import { h } from "../dom.js";
import { column, cutText, day, plural, title } from "../format.js";
import { button, field, select } from "../parts.js";
import { STATUSES } from "./work.js";
import { factText } from "./words.js";

/** Filters of the API that the address may hold, with the words that a chip shows. */
const NAMED = {
  q: (value) => `begins with “${value}”`,
  plan: (value) => `plan ${value || "unknown"}`,
  risk: (value) => `level ${value}`,
  min_probability: (value) => `probability from ${cutText(Number(value))}`,
  max_probability: (value) => `probability to ${cutText(Number(value))}`,
  min_confidence: (value) => `confidence from ${cutText(Number(value))}`,
  max_confidence: (value) => `confidence to ${cutText(Number(value))}`,
  low_confidence: (value) => (value === "false" ? "prediction sure" : "prediction unsure"),
  min_tenure_months: (value) => `tenure from ${plural(Number(value), "month")}`,
  max_tenure_months: (value) => `tenure to ${plural(Number(value), "month")}`,
  min_monthly_price: (value) => `price from ${value}`,
  max_monthly_price: (value) => `price to ${value}`,
  work_status: (value) => `worklist: ${STATUSES.find(([each]) => each === value)?.[1] ?? (value || "not on it")}`,
  work_owner: (value) => (value ? `owner no. ${value}` : "nobody's"),
  contact: (value) => (value === "allowed" ? "may be contacted" : "contacted or not"),
  due_by: (value) => `due by ${day(value)}`,
  scored: (value) => ({ no: "not scored", any: "scored or not" })[value] ?? "scored",
  churned: (value) => (value === "true" ? "has left" : "is active"),
};

/** Whether a key of the address is a filter of the API. */
export const isFilter = (key) => key in NAMED || key === "reason" || key.startsWith("feature.");

/** The filters and the order in the address, as parameters of the API. */
export function asked(query, { withSort = true } = {}) {
  const wanted = new URLSearchParams();
  for (const [key, value] of query) if (isFilter(key) || (withSort && key === "sort")) wanted.append(key, value);
  return wanted;
}

/** Return the filters in words, each with a button that removes it. */
export function chips(page, features) {
  const found = [...page.query].filter(([key]) => isFilter(key));
  return found.map(([key, value]) => {
    const text = words(key, value, features);
    const rest = page.query.getAll(key).filter((each) => each !== value);
    return h("span", { class: "chip" }, text, button("×", () => page.go({ [key]: rest }), { kind: "bare", "aria-label": `Remove: ${text}` }));
  });
}

/** A filter in words, the schema's where it names a feature. */
export function words(key, value, features) {
  if (key in NAMED) return NAMED[key](value);
  const about = (name) => features.find((feature) => feature.column === name || feature.name === name) ?? { label: title(name) };
  if (key === "reason") return `reason ${about(value).label}`;
  const [, name, end] = key.match(/^feature\.(.+?)(?:\.(min|max))?$/);
  const { label, unit } = about(name);
  return `${label} ${end ? `${{ min: "from", max: "to" }[end]} ${factText(Number(value), unit, label)}` : `is ${value || "missing"}`}`;
}

/** The schema's features: name, column, label, kind, unit. */
export const featuresOf = (schema) => Object.entries(schema.table_schema?.features ?? {}).map(([name, feature]) =>
  ({ name, column: column(name), label: feature.label ?? title(name), ...feature }));

const PERCENT = new Set(["min_probability", "max_probability"]);

/** The filters that are asked for most, above the list: each applies as it is chosen. */
export function quickFilters(page, { features, plans }) {
  const choice = (name, options) => {
    const made = select([["", "Any"], ...options], page.query.get(name) ?? "", { name });
    made.addEventListener("change", () => page.go({ [name]: made.value }));
    return made;
  };
  return [field("Plan", choice("plan", plans.map((plan) => [plan, plan]))),
    field("Reason among the first three", choice("reason", features.map((each) => [each.name, each.label])))];
}

/** The form of the other filters; what is applied goes into the address. */
export function filterForm(page, { features, priorities }) {
  const number = (name, more = {}) => h("input", { type: "number", name, min: 0, step: "any", inputmode: "decimal", ...more });
  const parts = {
    priority: select([["", "Any"], ...priorities], "", { name: "priority" }),
    min_probability: number("min_probability", { max: 100 }), max_probability: number("max_probability", { max: 100 }),
    min_tenure_months: number("min_tenure_months"), max_tenure_months: number("max_tenure_months"),
    min_monthly_price: number("min_monthly_price"), max_monthly_price: number("max_monthly_price"),
    low_confidence: select([["", "Any"], ["true", "Unsure only"]], "", { name: "low_confidence" }),
    work_status: select([["", "Any"], ...STATUSES], "", { name: "work_status" }), due_by: h("input", { type: "date", name: "due_by" }),
  };
  const feature = featureFields(features);
  parts.priority.addEventListener("change", () => { parts.min_probability.value = parts.priority.value; });
  for (const [name, input] of Object.entries(parts)) {
    const value = page.query.get(name);
    if (value !== null) input.value = PERCENT.has(name) ? String(Math.round(Number(value) * 1000) / 10) : value;
  }
  const submit = (event) => {
    event.preventDefault();
    page.go({ ...valuesOf(parts), ...feature.values(page.query) });
  };
  return h("form", { class: "form", onsubmit: submit },
    field("Priority", parts.priority),
    field("Probability from, %", parts.min_probability), field("Probability to, %", parts.max_probability),
    field("Tenure from, months", parts.min_tenure_months), field("Tenure to, months", parts.max_tenure_months),
    field("Price from", parts.min_monthly_price), field("Price to", parts.max_monthly_price),
    field("Sureness", parts.low_confidence), field("Worklist", parts.work_status), field("Due by", parts.due_by), ...feature.fields,
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Apply"), button("Clear all", () => page.go(cleared(page.query)), { kind: "quiet" })));
}

function valuesOf(parts) {
  const { priority, ...others } = parts;
  return Object.fromEntries(Object.entries(others).map(([name, input]) =>
    [name, input.value === "" || !PERCENT.has(name) ? input.value : Math.round(Number(input.value) * 10) / 1000]));
}

export const cleared = (query) => Object.fromEntries([...query.keys()].filter(isFilter).map((key) => [key, null]));

/** Fields for any feature: from and to for a number, the value for a category. */
function featureFields(features) {
  const which = select([["", "None"], ...features.map((each) => [each.column, each.label])], "", { name: "feature" });
  const from = h("input", { name: "feature-from" });
  const to = h("input", { name: "feature-to" });
  const roots = [field("Any feature", which), field("Feature from, or is", from), field("Feature to", to)];
  const isNumber = () => features.find((each) => each.column === which.value)?.kind === "number";
  which.addEventListener("change", () => { to.disabled = !isNumber(); });
  return {
    fields: roots,
    values: () => {
      if (!which.value) return {};
      const key = `feature.${which.value}`;
      return isNumber() ? { [`${key}.min`]: from.value, [`${key}.max`]: to.value } : { [key]: from.value };
    },
  };
}
