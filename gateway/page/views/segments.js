// Customers by group: how many, how many left and are expected to, what they pay and what is at risk; saved segments.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { column, count, day, interval, known, money, NONE, percent, plural, title } from "../format.js";
import { help } from "../frame/help.js";
import { empty, heading } from "../frame/page.js";
import { address } from "../frame/router.js";
import { table } from "../parts.js";
import { askSaved, drawSaved } from "./saved.js";
import { inOrder } from "./words.js";

export const view = {
  open(page) {
    const groups = panel("Customers by group", { id: "groups", wide: true, note: "A group leads to its customers, the largest money at risk first." });
    const saved = panel("Saved views", { id: "saved", wide: true, note: "Filters and order of the list of customers that people kept: their segments." });
    const chooser = h("div", { class: "search" });
    const refresh = () => {
      page.load(chooser, () => get("/api/schema"), (schema) => byChoice(page, schema), { bones: 1 });
      page.load(groups.body, () => get(`/api/segments/summary?by=${encodeURIComponent(chosen(page))}`), drawGroups);
      page.load(saved.body, () => askSaved(page.query.get("after")), (answer) => drawSaved(page, answer, refresh));
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Segments"), chooser, groups.root, saved.root), refresh };
  },
};

const chosen = (page) => page.query.get("by") ?? "plan";

/** The features that customers can be grouped by; the choice is a step that Back undoes. */
function byChoice(page, schema) {
  const features = Object.entries(schema.table_schema?.features ?? {});
  const names = ["plan", "risk", ...features.filter(([name, { kind }]) => kind === "category" || name === "tenure_months").map(([name]) => name)];
  const select = h("select", { id: "by" }, [...new Set(names)].map((name) =>
    h("option", { value: name, selected: name === chosen(page) }, features.find(([each]) => each === name)?.[1].label ?? title(name))));
  select.addEventListener("change", () => page.go({ by: select.value }));
  return [h("label", { for: "by" }, "Group by"), select];
}

function drawGroups(answer) {
  if (!answer.groups.length) return [empty("There are no present customers.")];
  const period = answer.churn_period;
  const heads = [
    ["Group"], ["Customers"], ["Left", "churn-by-group"],
    ["Expected to leave", "expected-churners"], ["Monthly revenue"], ["Revenue at risk", "revenue-at-risk"], ["Value at risk", "value-at-risk"],
  ];
  const facts = [known(answer.as_of) && `Scores of ${day(answer.as_of)}`, known(answer.model_version) && `Model ${answer.model_version}`];
  return [
    table(`Customers by ${title(answer.by).toLowerCase()}`, heads.map(([text, term], i) => ({ text, numeric: i > 0, aside: term && help(term, text, facts) })), inOrder(answer.by, answer.groups).map((group) => groupRow(answer.by, group))),
    period && h("p", { class: "fine" }, `Left: of those active on ${day(period.start)}, until ${day(period.end)}.`),
    answer.churn_reason && h("p", { class: "fine" }, answer.churn_reason),
    answer.groups_left_out > 0 && h("p", { class: "fine" }, `${plural(answer.groups_left_out, "smaller group is", "smaller groups are")} not shown.`),
    ...[...new Set(answer.groups.map((group) => group.reason).filter(Boolean))].map((reason) => h("p", { class: "fine" }, reason)),
  ];
}

/** The filters of the list that a group is; null where the API has none for it, as for what is unknown. */
function filtersOf(by, value) {
  if (value === null) return null;
  if (by === "plan") return { plan: value };
  if (by === "risk") return { risk: value };
  if (by !== "tenure_months") return { [`feature.${column(by)}`]: value };
  const [from, to] = value.match(/\d+/g) ?? [];
  return { min_tenure_months: from, max_tenure_months: to };
}

function groupRow(by, group) {
  const { churn } = group;
  const filters = filtersOf(by, group.value);
  const name = group.value ?? "unknown";
  return [
    filters ? h("a", { href: address("customers", { ...filters, sort: "-revenue_at_risk" }) }, name) : name, count(group.customers),
    churn ? [percent(churn.rate), under(`${count(churn.left)} of ${count(churn.customers)}`), under(`95 %: ${interval(churn.interval, percent)}`)] : NONE,
    known(group.expected_leavers) ? [percent(group.expected_rate), under(`${count(group.expected_leavers)} of ${count(group.scored)}`), under(`95 %: ${interval(group.expected_interval, count)}`)] : NONE,
    money(group.monthly_revenue, group.currency), money(group.revenue_at_risk, group.currency), money(group.value_at_risk, group.currency),
  ];
}

const under = (text) => h("div", { class: "fine" }, text);
