// First steps: what stands above the overview while there is nothing else to show.

import { h } from "../dom.js";

/** At what stage the base is. */
export function whereWeAre(metrics, status, schema) {
  return {
    hasCustomers: schema.name !== null,
    hasModel: status.version !== null,
    isScored: metrics.predictedChurners.as_of !== null,
    isTraining: status.status === "training",
    horizonDays: status.horizon_days,
  };
}

/** Return the next step where nobody is scored yet. */
export function firstSteps({ mayRun, work }, { hasCustomers, hasModel, isScored, isTraining }) {
  if (isScored) return [];
  const button = (kind, text) => (mayRun ? h("button", { type: "button", class: "main", onclick: () => work.start(kind) }, text)
    : h("p", { class: "fine" }, "An analyst or administrator can do this."));
  if (!hasCustomers) {
    return box("No customers yet",
      h("p", {}, "Import a customer table (CSV or Parquet): ", h("a", { href: "#/data" }, "drop it under Data"), ", or where RetainStream runs:"),
      h("pre", { tabindex: 0 }, h("code", {}, "retainstream import customers.csv --schema retainstream")),
      h("p", { class: "fine" }, "Then train, then score. retainstream is the built-in schema; for a table of your own one is proposed."));
  }
  if (!hasModel) {
    return box("No model yet",
      h("p", {}, isTraining ? "A model is being trained. Its first scores appear here." : "The customers are there. Train a model on what is known of them; then score."),
      !isTraining && button("train", "Train the first model"));
  }
  return box("Not scored yet", h("p", {}, "A model is ready. Score the customers to see who is about to leave."), button("score", "Score customers now"));
}

function box(title, ...content) {
  return [h("section", { class: "panel wide first", id: "first-steps", "aria-labelledby": "first-title" }, h("h2", { id: "first-title" }, title), ...content)];
}
