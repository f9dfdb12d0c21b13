// Versions of the model: which is live, since when and why; promoting and rolling back with a reason; training.

import { get, post } from "../api.js";
import { failure, h, panel, show } from "../dom.js";
import { count, moment, percent, score } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { act, button, check, field, table } from "../parts.js";
import { featuresOf } from "./filters.js";

export const view = {
  open(page) {
    const versions = panel("All versions", { id: "versions", wide: true, note: "Each judged on test rows that it was not trained on." });
    const timeline = panel("Versions that were live", { id: "timeline", wide: true });
    const change = h("div", { id: "change" });
    const training = panel("Train a model", { id: "training", wide: true, note: "On everything that has matured. A model that is worse is not promoted." });
    const refresh = () => {
      page.load(versions.body, () => get("/api/model/versions"), (found) => drawVersions(page, found, change, refresh));
      page.load(timeline.body, () => get("/api/model/timeline"), drawTimeline);
      if (page.mayRun && !training.body.querySelector("form")) page.load(training.body, () => get("/api/schema"), (schema) => drawTraining(page, schema));
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Versions"), versions.root, change, page.mayRun && training.root, timeline.root), refresh };
  },
};

function drawVersions(page, { versions }, change, refresh) {
  if (!versions.length) return empty("No model is trained yet.");
  const numeric = (text) => ({ text, numeric: true });
  const ask = (title, path, body) => (event) => show(change, reasonForm({ title, path, body, change, refresh, opener: event.target }));
  return [
    table("Versions of the model", ["Version", "Made", numeric("AUC"), numeric("Log loss"), numeric("Test rows"), numeric("Left"), "Decision", { text: "" }], versions.map((v) => [
      h("span", {}, v.version, v.is_live && h("span", { class: "badge good" }, "live")), moment(v.created_at), score(v.auc), score(v.log_loss), count(v.n), percent(v.prevalence), v.decision ?? v.state,
      h("div", { class: "choices" },
        h("a", { href: `/api/model/versions/${encodeURIComponent(v.version)}/report`, "aria-label": `Report of ${v.version}` }, "Report"),
        page.isAdmin && !v.is_live && v.state === "ready" && button("Promote", ask(`Promote ${v.version}`, "/api/model/promote", { version: v.version }), { "aria-label": `Promote ${v.version}` }))])),
    page.isAdmin && versions.length > 1 && button("Roll back", ask("Roll back to the model before", "/api/model/rollback", {}), { kind: "quiet" }),
  ];
}

/** Changing what is live needs a reason; it is kept in the timeline and the audit log. */
function reasonForm({ title, path, body, change, refresh, opener }) {
  const reason = h("input", { type: "text", maxlength: 500, required: true });
  const force = check("Even if it is judged worse, or can't be compared");
  const problem = h("div", {});
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      await post(path, { ...body, reason: reason.value.trim(), ...("version" in body && force.input.checked ? { force: true } : {}) });
      show(change, h("p", { class: "notice good", role: "status" }, `${title}: done. The scores shown stay those of the run before, until customers are scored.`));
      refresh();
    }, failure);
  };
  window.setTimeout(() => reason.focus());
  return h("form", { class: "panel", onsubmit: submit }, h("h2", {}, title), field("Reason", reason), "version" in body && force.root, problem,
    h("div", { class: "choices" }, h("button", { type: "submit", class: "main" }, title), button("Leave it", () => { show(change); opener.focus(); }, { kind: "quiet" })));
}

function drawTimeline({ timeline }) {
  if (!timeline.length) return empty("Nothing was live yet.");
  return table("Versions that were live", ["Version", "Live from", "Why"], timeline.map((each) => [each.version, moment(each.live_from), each.reason]));
}

function drawTraining(page, schema) {
  const features = featuresOf(schema);
  if (!features.length) return empty("Import customers first.");
  const boxes = features.map((feature) => ({ feature, ...check(feature.label) }));
  const again = check("Train a new version even if nothing is new to learn");
  const submit = (event) => {
    event.preventDefault();
    const without = boxes.filter(({ input }) => input.checked).map(({ feature }) => feature.name);
    page.work.start("train", { ...(without.length ? { without } : {}), ...(again.input.checked ? { again: true } : {}) });
  };
  return h("form", { class: "panel-body", onsubmit: submit },
    h("details", { class: "more" }, h("summary", {}, "Leave features out of the model"), h("div", { class: "form" }, boxes.map(({ root }) => root))),
    again.root, h("div", { class: "choices" }, h("button", { type: "submit", class: "main" }, "Train a model")));
}
