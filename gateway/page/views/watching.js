// The live model's status with alerts and the alarm on its level, and drift: parts of the view Model > Live.

import { asTable } from "../charts.js";
import { h } from "../dom.js";
import { count, day, hundredths, percent, plural, score } from "../format.js";
import { help } from "../frame/help.js";

const BADGES = { Stable: "good", Watch: "warn", Degraded: "bad" };
const SHOWN_FEATURES = 8;

/** For GET /api/model/live. */
export function drawState(live) {
  if (!live.version) return [h("p", { class: "empty" }, "No model is trained yet, so there is nothing to watch.")];
  const { newest, alarm } = live;
  return [
    h("p", {}, h("span", { class: `badge ${BADGES[live.status]}` }, live.status), " ", live.status_reason, " ",
      help("model-status", "Status", [newest && `Newest matured run: ${day(newest.as_of[1])}, ${plural(newest.n, "customer")}`])),
    live.alerts.length > 0 && h("ul", {}, live.alerts.map((alert) => h("li", {}, alert.message))),
    h("p", { class: "fine" }, alarm.note ?? `Evidence for a shift of the level: ${hundredths(alarm.evidence)}; an alarm is raised from ${count(alarm.limit)}. `,
      help("level-alarm", "Evidence", [`${plural(alarm.history.length, "month")} watched`])),
    alarm.answered_by && h("p", { class: "fine" }, `The alarm of ${day(alarm.raised_by)} is answered: ${alarm.answered_by} has learned from these outcomes.`),
  ].filter(Boolean);
}

/** For GET /api/model/drift; `features` are those of the schema. */
export function drawDrift({ reports: [report], alerts, note }, features) {
  if (!report) return [h("p", { class: "empty" }, note)];
  const season = report.same_season ? "the same season a year or more before" : "the newest training date, because none of the same season is known";
  return [
    h("p", {}, `Scored customers can be told from training rows with an AUC of ${score(report.auc)}; 0.5 means not at all. `,
      help("drift", "Drift", [`Run of ${day(report.as_of)}, ${plural(report.n, "row")}`, `Training rows of ${day(report.reference)}, ${plural(report.trained_n, "row")}`])),
    alerts.length > 0 ? h("ul", {}, alerts.map((text) => h("li", {}, text))) : h("p", { class: "fine" }, "No effect is large enough for an alert."),
    h("p", { class: "fine" }, `Compared with ${season} (${day(report.reference)}); PSI of the scores ${hundredths(report.score_psi)}.`),
    asTable("Features that tell scored from training rows best", ["Feature", "AUC alone", "PSI", "Missing", "Missing in training", "Unknown values"],
      report.features.slice(0, SHOWN_FEATURES).map((each) => [
        features.find(({ name }) => name === each.feature)?.label ?? each.feature, score(each.auc), hundredths(each.psi), percent(each.missing), percent(each.missing_before), percent(each.unknown),
      ])),
  ];
}
