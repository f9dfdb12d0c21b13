// Which scores are shown: their date and model, and what is out of step with them. One line above every view.

import { get } from "../api.js";
import { h, show } from "../dom.js";
import { count, day, plural } from "../format.js";

/** After so many days the scores are called old: facts older than this are not scored at all (docs/definitions.md). */
const OLD_DAYS = 35;
const DAY_MS = 86_400_000;

/** The bar; `refresh` asks anew, and answers { metrics, status, schema } for whoever shows what they say. */
export function freshnessBar({ mayRun, work, onFigures }) {
  const root = h("div", { class: "workbar stale", id: "freshness", role: "status", hidden: true });
  const refresh = async () => {
    const [metrics, status, schema] = await Promise.all([
      get("/api/dashboard/metrics"), get("/api/model/status"), get("/api/schema"),
    ]);
    onFigures({ asOf: metrics.predictedChurners.as_of, version: metrics.predictedChurners.model_version ?? status.version, isDemo: schema.is_demo, customers: metrics.predictedChurners.customers });
    const text = whatIsOutOfStep(metrics.predictedChurners, status);
    root.hidden = text === null;
    const button = mayRun && h("button", { type: "button", class: "quiet small", onclick: () => work.start("score") }, "Score customers now");
    show(root, text && h("p", {}, text), text && button);
    return { metrics, status, schema };
  };
  return { root, refresh };
}

/** Return a sentence about the age or model of the scores shown, or null if there is nothing to say. */
export function whatIsOutOfStep({ as_of: asOf, model_version: shown, customers }, { version: live }, now = Date.now()) {
  if (!asOf) return null;
  const days = Math.floor((now - Date.parse(`${asOf}T00:00:00Z`)) / DAY_MS);
  const parts = [];
  if (live && shown && live !== shown) {
    parts.push(`The scores shown are those of model ${shown}. Model ${live} is live now. Until ${customers === 1 ? "the customer is" : `the ${count(customers)} customers are`} scored again, every figure that comes from scores is one of model ${shown}.`);
  }
  if (days > OLD_DAYS) parts.push(`The scores shown are of ${day(asOf)}, ${plural(days, "day")} ago: import newer facts, then score.`);
  return parts.length ? parts.join(" ") : null;
}
