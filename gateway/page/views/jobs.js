// Jobs, newest first: progress, failures and rejected rows, followed while they run.

import { get, remove } from "../api.js";
import { failure, h, panel } from "../dom.js";
import { moment } from "../format.js";
import { jobName } from "../frame/jobs.js";
import { empty, heading } from "../frame/page.js";
import { act, button, field, select, table } from "../parts.js";

const POLL_MS = 2_000;
const STATES = [["", "Any state"], ["queued", "Waiting"], ["running", "Running"], ["done", "Done"], ["failed", "Failed"], ["cancelled", "Cancelled"]];

/** A state of a job in words. */
export const stateWords = (state) => STATES.find(([each]) => each === state)[1].toLowerCase();

export const view = {
  open(page) {
    const list = panel("Latest jobs", { id: "jobs", wide: true, note: "Imports, trainings, scoring and exports, newest first." });
    const state = select(STATES, page.query.get("state"));
    state.addEventListener("change", () => page.go({ state: state.value, after: null }));
    const problem = h("div", {});
    let timer = 0;
    const refresh = async () => {
      window.clearTimeout(timer);
      const wanted = new URLSearchParams([...page.query].filter(([key]) => key === "state" || key === "after"));
      wanted.set("limit", 50);
      const found = await page.load(list.body, () => get(`/api/jobs?${wanted}`), (answer) => draw(page, answer, { problem, refresh }));
      if (found?.jobs.some((job) => !job.finished_at) && page.isOpen) timer = window.setTimeout(refresh, POLL_MS);
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Jobs"), h("div", { class: "form" }, field("Show", state)), problem, list.root), refresh };
  },
};

function draw(page, { jobs, next }, { problem, refresh }) {
  if (!jobs.length) return empty("No job is in this state.");
  const cancel = (job) => (event) => act(event.target, problem, async () => { await remove(`/api/jobs/${job.id}`); await refresh(); }, failure);
  return [
    table("Jobs", ["Job", "State", "Progress or result", "Started", "Ended", { text: "" }], jobs.map((job) => [
      `${jobName(job.kind)} ${job.id}`,
      h("span", { class: `badge ${{ done: "good", failed: "bad", running: "warn" }[job.state] ?? ""}` }, stateWords(job.state)),
      job.error ? job.error.message : job.finished_at ? job.stage ?? "–" : [h("progress", { max: 1, value: job.progress, "aria-label": `Progress of job ${job.id}` }), ` ${Math.round(job.progress * 100)} % ${job.stage ?? ""}`],
      moment(job.started_at ?? job.created_at), moment(job.finished_at),
      !job.finished_at && job.may_cancel !== false && page.mayRun ? button(job.cancel_requested ? "Stopping" : "Cancel", cancel(job), { disabled: job.cancel_requested, "aria-label": `Cancel job ${job.id}` }) : "",
    ])),
    next && button("Older jobs", () => page.go({ after: next })),
  ];
}
