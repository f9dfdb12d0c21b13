// Long work: started, followed by its job, cancelled. One bar below the header shows what is going on.

import { ApiError, get, post, remove } from "../api.js";
import { failure, h, show } from "../dom.js";
import { percent, plural, score } from "../format.js";
import { workerWatch } from "./worker.js";

const POLL_MS = 500;
const PATIENCE = 6;
/** Routes of the jobs that the page starts. */
const STARTS = { score: "/api/dashboard/predict", train: "/api/model/train" };
const NAMES = {
  train: "Training", score: "Scoring", demo: "Making the demo", import: "Import", "import-outcomes": "Import of outcomes", "import-contacts": "Import of contacts",
  "do-not-contact": "Import of a do-not-contact list", preview: "Preview", "propose-schema": "Proposal of a schema", campaign: "Drawing of a campaign", export: "Export",
  mature: "Settling of outcomes", backup: "Backup", digest: "Digest",
};

/** A kind of job in words. */
export const jobName = (kind) => NAMES[kind] ?? kind;

/** The bar, and what starts work in it. `onDone` is called when figures have changed, `onState` when work starts or ends. */
export function workbar({ mayRun, onDone, onState, onSignedOut }) {
  const root = h("div", { class: "workbar", id: "work", hidden: true });
  const away = h("div", { class: "workbar bad", id: "no-worker", role: "status", hidden: true });
  const state = { id: null, stopped: false, isAway: false };
  const context = { root, away, state, mayRun, onDone, onState, onSignedOut };
  const watch = workerWatch({ isWorking: () => state.id !== null, onChange: (isAway) => workerChanged(context, isAway) });
  return {
    roots: [away, root],
    start: (kind, body) => start(context, kind, body),
    resume: () => resume(context),
    stop: () => { state.stopped = true; watch.stop(); },
    get isBusy() { return state.id !== null; },
  };
}

/** Say that no worker runs; when one does again, take up what it does. */
function workerChanged(context, isAway) {
  context.state.isAway = isAway;
  context.away.hidden = !isAway;
  show(context.away, isAway && h("p", {}, h("strong", {}, "No worker is running: "),
    "imports, trainings and scoring wait until somebody starts one (", h("code", {}, "retainstream worker"),
    "). The page stays as it is."));
  if (isAway || context.state.id !== null) return;
  if (context.root.classList.contains("bad")) show(context.root).hidden = true; // that there was none is past
  resume(context).catch((error) => refused(context, error, null));
}

/** A job whose worker is away stands still, whatever its row says: it is named, and the buttons are free. */
function parked(context, job) {
  context.state.id = null;
  show(context.root).hidden = true;
  const name = jobName(job.kind);
  const shown = job.state === "running" ? `is shown as running (${Math.round((job.progress ?? 0) * 100)} %)` : "is queued";
  const line = h("p", { id: "parked" }, `${name}, job ${job.id}, ${shown} and stands still until then. `);
  if (context.mayRun && job.may_cancel !== false) {
    const cancel = h("button", { type: "button", class: "quiet small" }, "Cancel it");
    cancel.addEventListener("click", () => cancelParked(job, line, cancel));
    line.append(cancel);
  }
  context.away.append(line);
  context.onState();
}

async function cancelParked(job, line, button) {
  button.disabled = true;
  try {
    const { finished_at: ended } = await remove(`/api/jobs/${job.id}`);
    show(line, ended ? `Job ${job.id} is cancelled.` : `Job ${job.id} is cancelled as soon as a worker runs.`);
  } catch (error) {
    show(line, error.message);
  }
}

async function start(context, kind, given = null) {
  if (context.state.id !== null) return;
  context.state.id = 0;
  context.onState();
  draw(context, { kind, state: "queued", progress: 0, stage: "Asking for a worker" });
  try {
    const answer = await post(STARTS[kind], given ?? {}, { prefer: "respond-async" });
    // A worker that takes a job is there, whatever was known of it.
    if (context.state.isAway) workerChanged(context, false);
    if (answer.state) await follow(context, answer);
    else finished(context, { kind, state: "done", result: answer });
  } catch (error) {
    refused(context, error, () => start(context, kind, given));
  }
}

/** Follow work that somebody started before this page was opened. */
async function resume(context) {
  const found = await Promise.all(["running", "queued"].map((state) => get(`/api/jobs?state=${state}&limit=1`)));
  const job = found.flatMap((page) => page.jobs)[0];
  if (job && context.state.id === null) {
    context.state.id = job.id;
    context.onState();
    await follow(context, job).catch((error) => refused(context, error, null));
  }
}

async function follow(context, job) {
  context.state.id = job.id;
  let missed = 0;
  while (!job.finished_at && !context.state.stopped && !context.state.isAway) {
    draw(context, job);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    try {
      job = await get(`/api/jobs/${job.id}`);
      missed = 0;
    } catch (error) {
      // A moment without an answer does not end the work.
      const passing = error instanceof ApiError && (error.status === 0 || error.status === 503 || error.status === 429);
      missed += 1;
      if (!passing || missed > PATIENCE) throw error;
    }
  }
  if (context.state.stopped) return;
  if (job.finished_at) finished(context, job);
  else parked(context, job);
}

function draw({ root, mayRun }, job) {
  root.hidden = false;
  root.className = "workbar";
  const name = jobName(job.kind);
  const stage = job.state === "queued" ? "Waiting for the worker" : job.stage ?? "Starting";
  const text = job.cancel_requested ? "Stopping" : stage;
  const done = `${Math.round((job.progress ?? 0) * 100)} %`;
  if (!root.querySelector("progress")) {
    show(root,
      h("strong", { class: "work-name" }),
      h("progress", { max: 1, value: 0, "aria-label": "Progress" }),
      h("span", { class: "work-done" }),
      h("span", { class: "work-stage", role: "status" }),
      mayRun && h("button", { type: "button", class: "quiet small", disabled: true }, "Cancel"));
  }
  root.querySelector(".work-name").textContent = name;
  root.querySelector("progress").value = job.progress ?? 0;
  root.querySelector(".work-done").textContent = done;
  const status = root.querySelector(".work-stage");
  if (status.textContent !== text) status.textContent = text;
  const button = root.querySelector("button");
  if (button && job.id) {
    button.hidden = job.may_cancel === false && !job.cancel_requested;
    button.disabled = Boolean(job.cancel_requested);
    button.onclick = () => {
      button.disabled = true;
      remove(`/api/jobs/${job.id}`).catch(() => { button.disabled = false; });
    };
  }
}

function finished(context, job) {
  context.state.id = null;
  const name = jobName(job.kind);
  if (job.state === "done") {
    note(context, "good", h("p", {}, h("strong", {}, `${name} is done. `), outcome(job)));
    context.onDone();
  } else if (job.state === "cancelled") {
    note(context, "", h("p", {}, `${name} was cancelled; nothing was changed.`));
  } else {
    const error = { message: `${name} failed: ${job.error?.message ?? "no reason was given."}` };
    note(context, "bad", failure(error), job.id ? h("p", { class: "fine" }, "Job ", h("code", {}, String(job.id))) : null);
  }
  context.onState();
}

function outcome({ kind, result }) {
  if (kind === "score" || kind === "demo") {
    if (!result?.predictions_generated) return "";
    const mean = percent(result.average_probability);
    const scored = `${plural(result.predictions_generated, "customer")} scored with model ${result.model_version}; mean probability ${mean}.`;
    return [scored, ...(result.warnings ?? [])].join(" ");
  }
  if (kind === "train" && result?.metrics) {
    const { model_version: version, auc, n } = result.metrics;
    return `Model ${version}: AUC ${score(auc)} on ${plural(n, "held-out record")}. ${result.decision ?? ""}`;
  }
  return "";
}

function refused(context, error, again) {
  context.state.id = null;
  context.onState();
  if (error instanceof ApiError && error.isSignedOut) context.onSignedOut();
  else note(context, "bad", failure(error, again));
}

function note({ root }, kind, ...content) {
  root.hidden = false;
  root.className = `workbar note-only ${kind}`;
  const close = h("button", { type: "button", class: "quiet small" }, "Close");
  close.addEventListener("click", () => { root.hidden = true; show(root); });
  show(root, h("div", { class: "work-note", role: "status" }, content.filter(Boolean)), close);
}
