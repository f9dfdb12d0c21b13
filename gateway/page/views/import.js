// Importing: a file is dropped, read as it will be read, its schema corrected column by column, tried, and then taken in.

import { get, result, upload } from "../api.js";
import { failure, h, loading, panel, show } from "../dom.js";
import { count, day, moment, plural } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { button, check, field, select, table } from "../parts.js";
import { Draft } from "./schema-draft.js";
import { byColumn, schemaForm } from "./schema-form.js";

const KINDS = { customers: "/api/customers/import", outcomes: "/api/customers/outcomes" };
const SHOWN_ROWS = 8;
const SHOWN_REJECTS = 50;

export const view = {
  open(page) {
    const past = panel("Past imports", { id: "imports", wide: true });
    const refresh = () => page.load(past.body, () => get("/api/customers/import?limit=20"), drawPast);
    if (!page.mayRun) return { root: h("div", { class: "page" }, heading("Import"), h("p", { class: "notice" }, "Imports, past and new, are for analysts and administrators.")) };
    refresh();
    return {
      root: h("div", { class: "page" }, heading("Import", { note: "CSV or Parquet. Nothing is written before you say so." }), makeImport(page, refresh).root, past.root), refresh,
    };
  },
};

const numeric = (text) => ({ text, numeric: true });

function drawPast({ imports, complete_to: known }) {
  if (!imports.length) return empty("Nothing was imported yet.");
  return [
    h("p", { class: "fine" }, known ? `All ends are known up to ${day(known)}.` : "No import has said up to which date all ends are known."),
    table("Imports", ["File", "Facts of", numeric("Rows"), numeric("New"), numeric("Updated"), numeric("Rejected"), "When"], imports.map((each) => [
      each.file_name, day(each.as_of), count(each.rows), count(each.customers_new), count(each.customers_updated),
      each.rejected && each.job_id ? h("a", { href: `/api/customers/import/${each.job_id}/rejects`, download: "" }, `${count(each.rejected)}, download`) : count(each.rejected),
      moment(each.created_at)])),
  ];
}

function makeImport(page, onDone) {
  const parts = { page, onDone, file: null, drafted: null, turn: 0, ...fields() };
  const choose = (file) => { if (file) read(parts, file); };
  const drop = h("div", { class: "drop" },
    h("p", {}, h("strong", {}, "Drop a table here"), ", or choose it:"), field("A CSV or Parquet file", parts.input));
  parts.input.addEventListener("change", () => choose(parts.input.files[0]));
  parts.kind.addEventListener("change", () => choose(parts.file)); // its options are others
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  drop.addEventListener("drop", (event) => choose(event.dataTransfer.files[0]));
  const root = h("section", { class: "panel wide", id: "import", "aria-label": "Import a file" },
    h("div", { class: "form" }, field("The file holds", parts.kind, { roomy: true })), drop, parts.preview, parts.options, parts.outcome);
  return { root };
}

function fields() {
  return {
    input: h("input", { type: "file", accept: ".csv,.tsv,.txt,.gz,.parquet" }),
    kind: select([["customers", "Customers and their facts"], ["outcomes", "Outcomes: who left, and when"]], "customers"),
    schema: h("textarea", { class: "code", spellcheck: "false", id: "schema-text" }),
    faults: h("div", { id: "schema-faults", role: "status" }),
    asOf: h("input", { type: "date" }),
    completeTo: h("input", { type: "date" }),
    keepGood: check("Take the good rows even where others are rejected"),
    full: check("The file holds every customer of its date"),
    gone: check("Customers who are not in it have left"),
    preview: h("div", { class: "panel-body", id: "preview" }),
    options: h("div", { class: "panel-body" }),
    outcome: h("div", { class: "panel-body", id: "import-outcome", "aria-live": "polite" }),
  };
}

/** Show the file as it will be read, and for customers the schema: the base's own, or one that is proposed. What comes late of an earlier file is dropped. */
async function read(parts, file) {
  parts.file = file;
  parts.turn += 1;
  const { turn } = parts;
  const isLate = () => turn !== parts.turn;
  show(parts.outcome);
  show(parts.options);
  show(parts.preview, loading(5));
  await guarded(parts, parts.preview, async () => {
    const preview = await result(await upload("/api/customers/import/preview", { file }));
    if (isLate()) return;
    show(parts.preview, ...drawPreview(preview));
    if (parts.kind.value === "customers") await proposal(parts, file, isLate);
    if (!isLate()) show(parts.options, ...drawOptions(parts));
  }, isLate);
}

function drawPreview({ columns, rows, encoding, delimiter, notes }) {
  return [
    h("h3", {}, "As it is read"),
    h("p", { class: "fine" }, [encoding, delimiter && `separated by “${delimiter === "\t" ? "tab" : delimiter}”`, plural(columns.length, "column")].filter(Boolean).join(", "), ". ", notes.join(" ")),
    table("The first rows of the file", columns, rows.slice(0, SHOWN_ROWS).map((row) => row.map((cell) => cell ?? "–"))),
  ];
}

/** The base's own schema, or for a first import a draft of the proposed one, as a form and as text. */
async function proposal(parts, file, isLate) {
  const schema = await get("/api/schema");
  const isFirst = schema.name === null;
  if (isFirst && parts.drafted === file) return; // what was put right stays
  const found = isFirst ? await result(await upload("/api/customers/import/schema", { file })) : null;
  if (isLate()) return;
  Object.assign(parts, { isFirst, draft: null, drafted: isFirst ? file : null });
  if (!isFirst) return;
  parts.draft = new Draft(found, { tell: (what) => retell(parts, what), expired: parts.page.expired });
  parts.form = schemaForm(parts.draft);
  parts.notes = found.notes.filter((note) => !found.columns.some((column) => column.notes.includes(note)));
  parts.schema.value = found.toml;
  parts.schema.oninput = () => parts.draft.write(parts.schema.value);
  show(parts.faults);
}

/** The server has read the draft: show the form or the text that follows from the other, or what is wrong where it is. */
function retell(parts, what) {
  const { draft, form } = parts;
  if (draft.fault) { tellFaults(parts, draft.fault, "The schema can’t be used yet"); return; }
  show(parts.faults);
  show(parts.outcome); // it was about the schema as it stood before
  form.problems(new Map());
  if (what === "text") parts.schema.value = draft.text;
  else form.redraw();
}

/** Put each fault beside the column that it names; all of them stand above, each with the way to its column. */
function tellFaults(parts, error, lead) {
  const details = error.details.length ? error.details : [{ message: error.message }];
  const { found, rest } = byColumn(parts.draft, details);
  parts.form.problems(found);
  show(parts.faults, h("div", { class: "notice bad" },
    h("p", {}, h("strong", {}, `${lead}. `), found.size > 0 && "Go to the column:"),
    found.size > 0 && h("div", { class: "choices" }, [...found.keys()].slice(0, SHOWN_REJECTS).map((name) => button(name, () => parts.form.focus(name)))),
    rest.slice(0, SHOWN_REJECTS).map((text) => h("p", {}, text))));
}

function drawOptions(parts) {
  const isCustomers = parts.kind.value === "customers";
  return [
    isCustomers && parts.isFirst && drawSchema(parts),
    isCustomers && !parts.isFirst && h("p", { class: "fine" }, "The columns mean what the schema of this base says."),
    h("div", { class: "form" },
      isCustomers && field("Date of the facts, if the file has none", parts.asOf),
      field("All ends are known up to", parts.completeTo),
      parts.keepGood.root, isCustomers && parts.full.root, isCustomers && parts.gone.root),
    h("div", { class: "choices" },
      button("Try it: write nothing", (event) => send(parts, true, event.target), { kind: "quiet", id: "dry-run" }),
      button("Import", (event) => send(parts, false, event.target), { kind: "main", id: "do-import" })),
  ];
}

function drawSchema(parts) {
  return h("div", { class: "panel-body" },
    h("h3", {}, "Meaning of the columns"),
    h("p", { class: "fine" }, "Proposed from the file: put right what is wrong. The first import fixes which column is what; labels, units and directions can be changed later."),
    parts.notes.length > 0 && h("ul", { class: "notes" }, parts.notes.map((note) => h("li", { class: "fine" }, note))),
    parts.faults, parts.form.root,
    h("details", { class: "more" }, h("summary", {}, "The same as text (TOML)"),
      field("The schema", parts.schema, { wide: true, hint: "The form writes it, and what is written here fills the form. docs/schema.md says what each key means." })));
}

async function send(parts, isDry, trigger) {
  if (trigger.getAttribute("aria-disabled") === "true") return;
  trigger.setAttribute("aria-disabled", "true"); // a disabled button would lose the focus
  show(parts.outcome, h("p", { class: "note" }, isDry ? "Checking …" : "Importing …"));
  try {
    const isCustomers = parts.kind.value === "customers";
    const given = isCustomers ? { ...options(parts, isDry), ...customerOptions(parts) } : options(parts, isDry);
    if (isCustomers && parts.draft) {
      if (!(await parts.draft.settled())) {
        show(parts.outcome, h("p", { class: "notice bad", role: "alert" }, "Nothing was sent: the schema can’t be used yet. Its columns say what is wrong."));
        return;
      }
      given.schema = parts.draft.text;
      parts.form.problems(new Map());
      show(parts.faults);
    }
    await guarded(parts, parts.outcome, () => sendFile(parts, given, isDry));
  } finally {
    trigger.removeAttribute("aria-disabled");
  }
}

function options(parts, isDry) {
  return { file: parts.file, dry_run: isDry ? "true" : null, keep_good: parts.keepGood.input.checked ? "true" : null, ends_complete_to: parts.completeTo.value };
}

function customerOptions(parts) {
  return {
    as_of: parts.asOf.value,
    full_snapshot: parts.full.input.checked ? "true" : null, absent_are_gone: parts.gone.input.checked ? "true" : null,
  };
}

async function sendFile(parts, given, isDry) {
  const tell = (job) => show(parts.outcome, h("p", { class: "note" }, `${job.stage ?? "Waiting for the worker"} (${Math.round((job.progress ?? 0) * 100)} %)`));
  const done = await result(await upload(KINDS[parts.kind.value], given), { tell });
  show(parts.outcome, ...drawOutcome(done, isDry));
  if (given.schema && done.rejected) tellFaults(parts, { details: done.rejects }, "Some rows do not fit");
  if (!isDry) { parts.onDone(); parts.page.refreshAll(); }
}

async function guarded(parts, place, work, isLate = () => false) {
  try {
    await parts.page.busy(work());
  } catch (error) {
    if (error.isSignedOut) return parts.page.expired();
    if (!error.code) throw error;
    if (isLate()) return;
    if (place === parts.outcome && parts.draft && error.details.length) tellFaults(parts, error, "The file does not fit the schema");
    const rejected = error.message.match(/\/api\/customers\/import\/\d+\/rejects/);
    show(place, failure(error), rejected && rejectedRows(rejected[0]), error.details.length > 0 && h("ul", {}, error.details.slice(0, SHOWN_REJECTS).map((detail) =>
      h("li", { class: "fine" }, [detail.row && `row ${detail.row}`, detail.field, detail.message].filter(Boolean).join(": ")))));
  }
}

function drawOutcome(done, isDry) {
  const counts = "customers_new" in done
    ? `${plural(done.customers_new, "new customer")}, ${count(done.customers_updated)} updated, ${count(done.customers_unchanged)} unchanged`
    : `${plural(done.ended, "end")}, ${count(done.announced)} announced`;
  return [
    h("div", { class: `notice ${done.rejected ? "" : "good"}` },
      h("p", {}, h("strong", {}, isDry ? "Tried, nothing written: " : "Imported: "), `${count(done.accepted)} of ${plural(done.total, "row")}; ${counts}.`),
      done.notes.map((note) => h("p", { class: "fine" }, note))),
    done.rejected > 0 && h("h3", {}, `${plural(done.rejected, "row")} rejected`),
    done.rejected > 0 && table("Rejected rows", ["Row", "Field", "Value", "Why"], done.rejects.slice(0, SHOWN_REJECTS).map((each) =>
      [String(each.row ?? "–"), each.field ?? "–", String(each.value ?? "–"), each.message])),
    done.rejects_file && rejectedRows(done.rejects_file),
  ].filter(Boolean);
}

const rejectedRows = (path) => h("p", {}, h("a", { href: path, download: "" }, "Download the rejected rows, correct them and import them again"));
