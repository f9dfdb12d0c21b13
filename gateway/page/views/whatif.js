// The what-if panel: sliders on the facts that can be acted on, and what the model would say. An estimate, no measured effect.

import { post } from "../api.js";
import { failure, h, panel, show } from "../dom.js";
import { known, percent, points } from "../format.js";
import { help } from "../frame/help.js";
import { empty } from "../frame/page.js";
import { button, field } from "../parts.js";
import { factText } from "./words.js";

const PAUSE_MS = 250;

/** The panel for a customer; null where no number can be acted on. */
export function whatIf(page, customer, features) {
  const named = features.filter((each) => each.actionable && each.kind === "number" && known(customer[each.column]));
  if (!named.length) return null;
  const { root, body } = panel("What if", {
    id: "what-if", wide: true, note: "Change a fact that can be acted on, and see what the model would say.", aside: help("score-if-changed", "What if"),
  });
  if (!page.mayRun) { show(body, empty("Asking the model is for analysts and administrators.")); return root; }
  const answer = h("div", { "aria-live": "polite", id: "what-if-answer" }, h("p", { class: "note" }, `Now ${percent(customer.churn_probability)}.`));
  const changes = {};
  const state = { timer: 0, turn: 0 };
  const ask = () => askModel(page, customer, changes, { answer, state });
  const sliders = named.map((feature) => slider(feature, customer[feature.column], (value) => {
    if (value === customer[feature.column]) delete changes[feature.name];
    else changes[feature.name] = value;
    window.clearTimeout(state.timer);
    state.timer = window.setTimeout(ask, PAUSE_MS);
  }));
  const reset = button("Reset", () => { for (const each of sliders) each.reset(); });
  show(body, h("div", { class: "form" }, sliders.map((each) => each.root)), h("div", { class: "choices" }, reset), answer);
  return root;
}

function slider(feature, value, onValue) {
  const most = Math.max(10, Math.ceil(value * 2));
  const step = feature.whole ? 1 : most / 100;
  const input = h("input", { type: "range", min: 0, max: most, step, value, name: feature.name });
  const said = h("output", {}, factText(value, feature.unit, feature.label));
  const changed = () => {
    const now = Math.abs(Number(input.value) - value) < step / 2 ? value : Number(input.value);
    const text = factText(now, feature.unit, feature.label);
    said.textContent = text;
    input.setAttribute("aria-valuetext", text);
    onValue(now);
  };
  input.addEventListener("input", changed);
  const root = h("div", { class: "slider" }, field(feature.label, input), said);
  return { root, reset: () => { input.value = String(value); changed(); } };
}

async function askModel(page, customer, changes, { answer, state }) {
  state.turn += 1;
  const turn = state.turn;
  if (!Object.keys(changes).length) return show(answer, h("p", { class: "note" }, `Now ${percent(customer.churn_probability)}.`));
  if (answer.querySelector("[role=alert]")) show(answer, h("p", { class: "note" }, "Asking the model …"));
  try {
    const found = await post("/api/predictions/what-if", { customer_id: customer.user_id, changes });
    if (turn !== state.turn) return null;
    return show(answer,
      h("p", {}, h("strong", { "data-figure": "what-if" }, percent(found.score_if_changed)), ` instead of ${percent(found.before.churn_probability)}: ${points(found.difference * 100)}.`),
      [...new Set(found.after.warnings)].map((warning) => h("p", { class: "fine" }, warning.message ?? String(warning))),
      h("p", { class: "fine" }, found.note));
  } catch (error) {
    if (error.isSignedOut) return page.expired();
    if (!error.code) throw error;
    return show(answer, failure(error, () => askModel(page, customer, changes, { answer, state })));
  }
}
