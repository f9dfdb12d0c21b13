// Retention by cohort, monthly revenue by its parts, and why the churn rate moved.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { count, day, interval, known, month, NONE, percent, points, wholeMoney } from "../format.js";
import { help } from "../frame/help.js";
import { empty, heading } from "../frame/page.js";
import { table } from "../parts.js";
import { inOrder } from "./words.js";

export const view = {
  open(page) {
    const cohorts = panel("Retention by cohort", { id: "cohorts", wide: true, aside: help("cohorts", "Retention by cohort"),
      note: "Customers by the month of their first subscription, and the share of them who were active at the end of that month and of each month after it. Below it stands its 95 % interval." });
    const revenue = panel("Monthly revenue", { id: "revenue", wide: true, aside: help("mrr-movement", "Monthly revenue"), note: "Revenue that came, grew, shrank and went, by month." });
    const change = panel("Why the churn rate moved", { id: "change", wide: true, aside: help("mix-and-rate", "Mix and rate"),
      note: "Mix: the groups that churn more have grown or shrunk. Rate: the groups churn more or less than before. Both add up to the change." });
    const refresh = () => {
      page.load(cohorts.body, () => get("/api/dashboard/cohorts?limit=12"), triangle);
      page.load(revenue.body, () => Promise.all([get("/api/dashboard/movement?limit=12"), get("/api/dashboard/value")]), movement);
      page.load(change.body, () => Promise.all([get("/api/dashboard/churn-change?by=plan"), get("/api/dashboard/churn-change?by=tenure_months")]),
        (answers) => answers.flatMap(churnChange));
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Cohorts"), cohorts.root, revenue.root, change.root), refresh };
  },
};

/** A table of figures beside the names in its first column. */
const figures = (caption, [first, ...heads], rows) => table(caption, [first, ...heads.map((text) => ({ text, numeric: true }))], rows);

function triangle({ cohorts, reason }) {
  if (!cohorts.length) return [empty(reason)];
  const ages = cohorts[0].cells.map((_, age) => (age === 0 ? "Month 0" : String(age)));
  return [figures("Retention by first month and age", ["First month", "Customers", ...ages],
    cohorts.map((cohort) => [month(`${cohort.month}-15`), count(cohort.customers), ...cohort.cells.map(cell)]))];
}

/** A share, the darker the larger. A month that is not over stays blank. */
const cell = (each) => (each === null ? "" : h("div", { class: `heat heat-${Math.round(each.rate * 10)}` },
  percent(each.rate), h("div", { class: "fine" }, interval(each.interval, (share) => count(Math.round(share * 100))))));

function movement([{ months, reason }, { total: { currency } }]) {
  if (!months.length) return [empty(reason)];
  const parts = [["start", "Start"], ["new", "New"], ["returned", "Returned"], ["expansion", "Expansion"], ["contraction", "Contraction"], ["churned", "Churned"], ["end", "End"]];
  const part = (each) => (known(each.revenue) ? [wholeMoney(each.revenue, currency), h("div", { class: "fine" }, count(each.customers))] : count(each.customers));
  return [
    figures("Monthly revenue by its parts", ["Month", ...parts.map(([, text]) => text), "Net retention"],
      months.map((each) => [month(`${each.month}-15`), ...parts.map(([name]) => part(each[name])), percent(each.net_retention)])),
    h("p", { class: "fine" }, reason ?? "Below each amount stands the number of customers."),
  ];
}

function churnChange(answer) {
  const by = answer.by === "plan" ? "plan" : "tenure";
  if (answer.change === null) return [h("p", { class: "fine" }, `By ${by}: ${answer.reason}`)];
  const { before, after } = answer;
  const side = (at) => (group) => (group.customers[at] ? `${percent(group.left[at] / group.customers[at])} of ${count(group.customers[at])}` : NONE);
  return [
    h("p", {}, `By ${by}: ${percent(before.rate)} (${day(before.start)} to ${day(before.end)}) became ${percent(after.rate)} (${day(after.start)} to ${day(after.end)}): `,
      h("strong", {}, `mix ${points(answer.mix * 100)}, rate ${points(answer.rate * 100)}`), "."),
    figures(`Change of the churn rate by ${by}`, [by === "plan" ? "Plan" : "Tenure", "Before", "After", "Mix", "Rate"],
      inOrder(answer.by, answer.groups).map((group) => [group.value ?? "unknown", side(0)(group), side(1)(group), points(group.mix * 100), points(group.rate * 100)])),
  ];
}
