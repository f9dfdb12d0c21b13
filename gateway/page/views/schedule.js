// The calendar: what the worker does by itself, when it comes next, and the outcome of the last time.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { moment } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { button, table } from "../parts.js";
import { stateWords } from "./jobs.js";

const TASKS = { import: "Import of new files", score: "Scoring", train: "Training", mature: "Outcomes that have matured", backup: "Backup", digest: "Digest" };
/** The buttons start the same jobs as those of the overview. */
const BY_HAND = { score: "Score now", train: "Train now" };

export const view = {
  open(page) {
    const list = panel("Schedule", { id: "schedule", wide: true, note: "Tasks that the worker starts by itself. Times that passed while no worker ran are made up for once." });
    const refresh = () => page.load(list.body, () => get("/api/schedule"), (found) => draw(page, found));
    const work = () => { for (const each of list.body.querySelectorAll("button")) each.disabled = page.work.isBusy; };
    refresh();
    return { root: h("div", { class: "page" }, heading("Schedule"), list.root), refresh, work };
  },
};

function draw(page, { tasks, promotion }) {
  if (!tasks.length) {
    return empty("Nothing is scheduled.", h("p", {}, "The setting ", h("code", {}, "SCHEDULE"),
      " of the worker says what it does by itself, such as ", h("code", {}, "score 30 3 * * *"), ": docs/operations.md tells how."));
  }
  return [
    table("Schedule", ["Task", "Cron, UTC", "Next", "Last", "Outcome", { text: "" }], tasks.map((each) => [
      TASKS[each.task] ?? each.task, h("code", {}, each.cron), moment(each.next_at), each.last_at ? moment(each.last_at) : "never yet", cameOf(each),
      page.mayRun && each.task in BY_HAND ? button(BY_HAND[each.task], () => page.work.start(each.task), { disabled: page.work.isBusy }) : ""])),
    tasks.some(({ task }) => task === "train") && h("p", { class: "fine" }, promotion === "proposed"
      ? "A scheduled model that passes the gate is proposed to an administrator; one that is trained by hand goes live."
      : "A model that passes the gate goes live."),
  ];
}

function cameOf({ last_job: job, last_state: state, note }) {
  const kind = { done: "good", failed: "bad", running: "warn" }[state] ?? "";
  return [
    state && h("span", { class: `badge ${kind}` }, stateWords(state)), job && h("a", { href: "#/data/jobs" }, `job ${job}`),
    note && h("div", { class: "fine" }, note), !state && !job && !note && "–",
  ].flatMap((each, i) => (each ? [i ? " " : "", each] : []));
}
