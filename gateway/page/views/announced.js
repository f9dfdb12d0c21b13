// Customers who have announced an end and still run: certain to leave, and the most savable, with dates and money.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { count, day, money, plural } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { help } from "../frame/help.js";
import { customerAddress } from "../frame/router.js";
import { button, field, select, stats, table } from "../parts.js";

const KINDS = [["cancelled", "Cancelled, still running"], ["auto_renew_off", "Auto-renew is off"], ["contract_ends", "Contract ends"]];
const DAYS = [[30, "30 days"], [60, "60 days"], [90, "90 days"]];

export const view = {
  open(page) {
    const kind = select(KINDS, page.query.get("kind") ?? "cancelled");
    const within = select(DAYS, page.query.get("within_days") ?? 30);
    const list = panel("Ends that are known", { id: "announced", wide: true, note: "They are certain, so no probability is shown.", aside: help("announced", "Announced") });
    const refresh = () => {
      kind.value = page.query.get("kind") ?? "cancelled";
      within.value = page.query.get("within_days") ?? "30";
      const wanted = new URLSearchParams({ kind: kind.value, within_days: within.value, limit: 50 });
      if (page.query.get("after")) wanted.set("after", page.query.get("after"));
      return page.load(list.body, () => Promise.all([get(`/api/customers/announced?${wanted}`), get("/api/dashboard/value")]), ([found, { total }]) => draw(page, found, total.currency));
    };
    kind.addEventListener("change", () => page.go({ kind: kind.value, after: null }));
    within.addEventListener("change", () => page.go({ within_days: within.value, after: null }));
    refresh();
    return { root: h("div", { class: "page" }, heading("Announced ends"), h("div", { class: "form" }, field("Which", kind), field("Within", within)), list.root), refresh };
  },
};

function draw(page, { counts, customers, next, reason, today }, currency) {
  if (reason) return empty(reason);
  const numeric = (text) => ({ text, numeric: true });
  return [
    stats(...counts.map((each) => ({ label: each.days === null ? "Later, or on an unknown day" : `Within ${plural(each.days, "day")}`, value: count(each.customers), note: `${money(each.monthly_revenue, currency)} a month` }))),
    customers.length ? table("Customers with a known end", ["Customer", "Plan", numeric("Price"), "Ends on", numeric("Days left"), "Cancelled on", "Reason given"], customers.map((c) => [
      h("a", { href: customerAddress(c.user_id) }, c.user_id), c.plan ?? "–", money(c.monthly_price, c.currency), day(c.ends_on), count(c.days_left), day(c.cancelled_at), c.end_reason ?? "–"]))
      : empty("No end within these days is known."),
    h("p", { class: "fine" }, `As of ${day(today)}.`),
    next && button("Next customers", () => page.go({ after: next })),
  ];
}
