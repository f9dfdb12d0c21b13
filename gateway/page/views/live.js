// Did past predictions come true: what was said of each run, month, version or segment beside what happened.

import { get } from "../api.js";
import { asTable } from "../charts.js";
import { h, panel } from "../dom.js";
import { count, day, interval, known, number, plural, score, tenths } from "../format.js";
import { empty, heading, shared } from "../frame/page.js";
import { help } from "../frame/help.js";
import { axis, legend, lines, monthAxis } from "../lines.js";
import { field, select, table } from "../parts.js";
import { featuresOf } from "./filters.js";
import { drawDrift, drawState } from "./watching.js";

const BY = [["run", "Run"], ["month", "Month"], ["version", "Model version"], ["segment", "Segment: every category"]];
/** Before the name of a number in the choice, whose value is the address's `by` or this and `feature`. */
const BAND = "band:";

export const view = {
  open(page) {
    const by = select(BY, "run", { id: "live-by" });
    by.addEventListener("change", () => page.go(by.value.startsWith(BAND)
      ? { by: "segment", feature: by.value.slice(BAND.length) } : { by: by.value, feature: null }));
    const came = panel("Did the predictions come true?", {
      id: "live", wide: true, note: "Leavers expected beside leavers counted, once the days have passed.", aside: help("level", "Observed / expected"),
    });
    const pending = panel("Not known yet", { id: "pending", wide: true, aside: help("pending", "Not known yet") });
    const state = panel("Does it keep what training promised?", { id: "live-state", wide: true });
    const drift = panel("Are today's customers like those it learned from?", { id: "live-drift", wide: true });
    const refresh = () => {
      page.load(state.body, () => get("/api/model/live"), drawState);
      const schema = shared(() => get("/api/schema").then(featuresOf));
      page.load(drift.body, () => Promise.all([get("/api/model/drift"), schema()]), ([found, features]) => drawDrift(found, features));
      const feature = page.query.get("feature");
      const wanted = new URLSearchParams({ view: "live", limit: 24, by: page.query.get("by") ?? "run", ...(feature ? { feature } : {}) });
      const asked = shared(() => Promise.all([get(`/api/predictions/performance?${wanted}`), schema()]));
      page.load(came.body, asked, ([found, features]) => {
        const number = features.find((each) => each.kind === "number" && [each.column, each.name].includes(feature)) ?? null;
        choose(by, features, number ? BAND + number.column : found.by);
        return draw(found, number, features);
      });
      page.load(pending.body, asked, ([found]) => drawPending(found));
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Live performance"), state.root, h("div", { class: "form" }, field("Add up by", by)), came.root, pending.root, drift.root), refresh };
  },
};

/** Offer the schema's numbers beside the other groups, once the schema is known. */
function choose(by, features, chosen) {
  const numbers = features.filter((each) => each.kind === "number");
  if (numbers.length && !by.querySelector("optgroup")) {
    by.append(h("optgroup", { label: "Bands of a number" }, numbers.map((each) => h("option", { value: BAND + each.column }, `Bands of ${each.label}`))));
  }
  by.value = chosen;
}

const labelOf = (features, name) => features.find((each) => each.name === name || each.column === name)?.label ?? name;
const datesOf = (group) => (group.runs?.length === 1 || !group.versions ? day(group.as_of?.[1]) : `${day(group.as_of[0])} to ${day(group.as_of[1])}`);
/** The name of a group: the dates of its predictions, a category's value, or the band alone where the head names the number. */
const nameOf = (group, number, features = []) => (!group.feature ? datesOf(group)
  : number ? group.value ?? "unknown" : `${labelOf(features, group.feature)}: ${group.value ?? "unknown"}`);
const stageOf = (group) => (group.stage === "matured" ? "" : group.stage);
const measured = (figure, write) => (figure && known(figure.value) ? `${write(figure.value)}${figure.interval ? ` [${interval(figure.interval, write)}]` : ""}` : "–");

const headOf = (by, number) => (number ? `${number.label}${number.unit ? `, ${number.unit}` : ""}` : by === "segment" ? "Segment" : "Predictions of");

/** Draw the table of groups, with a chart where they follow each other in time; `number` is the feature of bands, or null. */
function draw({ by, groups, note }, number, features) {
  if (!groups.length) return empty(note ?? "No prediction has matured yet.");
  const numeric = (text) => ({ text, numeric: true });
  return [
    by !== "segment" && groups.length > 1 && chart([...groups].reverse()),
    note && h("p", { class: "note" }, note),
    by === "segment" && h("p", { class: "note" }, `Predictions of ${datesOf(groups[0])} by model ${groups[0].versions.join(", ")}, the newest whose outcomes are known.`),
    table("Predictions and outcomes", [headOf(by, number), "Model", numeric("Predictions"), numeric("Expected to leave"), numeric("Left"), numeric("Left / expected"), numeric("AUC"), numeric("AUC promised")],
      groups.map((group) => [
        h("span", {}, nameOf(group, number, features), stageOf(group) && h("span", { class: "badge warn" }, stageOf(group))),
        group.versions.join(", "), count(group.n),
        `${tenths(group.expected)}${interval(group.expected_interval) ? ` [${interval(group.expected_interval, tenths)}]` : ""}`,
        h("span", {}, count(group.leavers), group.as_expected === false && h("span", { class: "badge warn" }, "outside")),
        measured(group.observed_expected, score), measured(group.auc, score), score(group.promised?.auc)])),
    h("p", { class: "fine" }, "Intervals are of 95 %. “outside” marks a number of leavers outside the interval of what was expected; “provisional” means that some who left may still come back."),
  ];
}

function chart(groups) {
  const rows = groups.filter((group) => known(group.expected));
  if (rows.length < 2) return null;
  const most = axis(Math.max(...rows.map((row) => Math.max(row.leavers ?? 0, row.expected_interval?.[1] ?? row.expected))), (value) => count(value));
  const every = Math.ceil(rows.length / 6);
  const hasBand = rows.every((row) => interval(row.expected_interval));
  const series = [
    { name: "Expected, with its 95 % interval", kind: "a", points: rows.map((row, i) => [i, row.expected]), ...(hasBand ? { low: rows.map((row) => row.expected_interval[0]), high: rows.map((row) => row.expected_interval[1]) } : {}) },
    { name: "Left", kind: "b", points: rows.map((row, i) => [i, row.leavers]) },
  ];
  const label = `Leavers expected and counted: ${rows.map((row) => `${nameOf(row)}: ${number(row.expected)} expected, ${count(row.leavers)} left`).join("; ")}.`;
  return h("div", { class: "panel-body" },
    h("figure", {}, lines({ label, series, y: most, x: { from: 0, to: rows.length - 1, ticks: monthAxis(rows, (row, i) => i, (row) => row.as_of[1], every) } }),
      h("figcaption", {}, "Leavers, by the date of the predictions")),
    legend(series),
    asTable("Leavers expected and counted", ["Predictions of", "Expected", "Left"], rows.map((row) => [nameOf(row), number(row.expected), count(row.leavers)])));
}

function drawPending({ pending }) {
  if (!pending?.predictions) return empty("Nothing is pending: every prediction has its outcome.");
  return h("p", {}, `${plural(pending.predictions, "prediction")} of ${plural(pending.runs, "run")}, the oldest of ${day(pending.oldest)}, ${pending.predictions === 1 ? "has" : "have"} no outcome yet${
    known(pending.expected) ? `; ${number(pending.expected)} leavers are expected among them` : ""}. Nobody counts as having stayed before it is known.`);
}
