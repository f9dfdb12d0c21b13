// People: accounts with their roles for administrators, one's own password, and API keys.

import { get, patch, post, remove } from "../api.js";
import { failure, h, panel, show } from "../dom.js";
import { moment } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { act, button, check, field, select, shownOnce, table } from "../parts.js";

const ROLES = [["viewer", "viewer"], ["analyst", "analyst"], ["admin", "admin"]];
const SCOPES = ["read", "score", "import"];

export const view = {
  open(page) {
    const problem = h("div", { id: "people-problem" });
    const people = panel("Accounts", { id: "accounts-list", wide: true });
    const keys = panel("API keys", { id: "keys", wide: true, note: "For machines. A key is shown once, when it is made." });
    const own = panel("Your password", { id: "password-panel", wide: true, note: "A new password ends every other session and every key of yours." });
    const loadPeople = () => page.isAdmin && page.load(people.body, () => get("/api/users?limit=100"), (found) => drawPeople(page, found, { problem, refresh }));
    const loadKeys = () => page.load(keys.body, () => get("/api/auth/keys?limit=100"), (found) => drawKeys(page, found, { problem, refresh: loadKeys }));
    const refresh = () => { loadPeople(); loadKeys(); };
    show(own.body, passwordForm(own.body));
    refresh();
    return { root: h("div", { class: "page" }, heading("People", { note: `You are signed in as ${page.user.name}, with the role ${page.user.role}.` }), problem, page.isAdmin && people.root, keys.root, own.root), refresh };
  },
};

function drawPeople(page, { users }, { problem, refresh }) {
  const change = (user, what) => async (event) => act(event.target, problem, async () => { await patch(`/api/users/${user.id}`, what(event.target)); refresh(); }, (error) => { refresh(); return failure(error); });
  return [
    table("Accounts", ["Name", "E-mail", "Role", "Since", { text: "" }], users.map((user) => {
      const role = select(ROLES, user.role, { "aria-label": `Role of ${user.name}`, disabled: user.id === page.user.id });
      role.addEventListener("change", change(user, (input) => ({ role: input.value })));
      return [h("span", {}, user.name, user.disabled && h("span", { class: "badge bad" }, "locked")), user.email, role, moment(user.created_at),
        user.id === page.user.id ? "" : button(user.disabled ? "Unlock" : "Lock", change(user, () => ({ disabled: !user.disabled })), { "aria-label": `${user.disabled ? "Unlock" : "Lock"} ${user.name}` })];
    })),
    h("details", { class: "more" }, h("summary", {}, "Create an account"), newPerson(refresh)),
  ];
}

function newPerson(refresh) {
  const problem = h("div", {});
  const parts = {
    name: h("input", { maxlength: 100, required: true, autocomplete: "off" }), email: h("input", { type: "email", maxlength: 254, required: true, autocomplete: "off" }),
    password: h("input", { type: "password", minlength: 8, maxlength: 200, required: true, autocomplete: "new-password" }), role: select(ROLES, "analyst"),
  };
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      // A password is taken as it stands, as where somebody signs in.
      await post("/api/users", Object.fromEntries(Object.entries(parts).map(([name, input]) => [name, input === parts.password ? input.value : input.value.trim()])));
      refresh();
    }, failure);
  };
  return h("form", { class: "form", onsubmit: submit },
    field("Name", parts.name), field("E-mail", parts.email), field("First password", parts.password), field("Role", parts.role),
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Create the account")), problem);
}

function drawKeys(page, { keys }, { problem, refresh }) {
  const revoke = (key) => (event) => act(event.target, problem, async () => { await remove(`/api/auth/keys/${key.id}`); refresh(); }, failure);
  return [
    keys.length ? table("API keys", ["Name", "Begins with", "May", "Made", "Expires", "Last used", { text: "" }], keys.map((key) => [
      key.name, h("code", {}, key.prefix), key.scopes.join(", "), moment(key.created_at), moment(key.expires_at), key.revoked_at ? `revoked ${moment(key.revoked_at)}` : moment(key.last_used_at),
      key.revoked_at ? "" : button("Revoke", revoke(key), { "aria-label": `Revoke ${key.name}` })])) : empty("No keys."),
    page.mayRun && h("details", { class: "more", open: true }, h("summary", {}, "Create a key"), newKey(refresh)),
  ];
}

function newKey(refresh) {
  const name = h("input", { maxlength: 100, required: true });
  const days = h("input", { type: "number", min: 1, max: 3650, value: 365 });
  const scopes = SCOPES.map((scope) => ({ scope, ...check(scope, { checked: scope === "read" }) }));
  const told = h("div", { "aria-live": "polite" });
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, told, async () => {
      const made = await post("/api/auth/keys", { name: name.value.trim(), scopes: scopes.filter(({ input }) => input.checked).map(({ scope }) => scope), expires_in_days: Number(days.value) });
      await refresh();
      const place = document.getElementById("keys");
      place.querySelector(".panel-body").prepend(shownOnce("Keep it now; it is not shown again: ", made.key, "new-key"));
    }, failure);
  };
  return h("form", { class: "form", onsubmit: submit }, field("Name", name), field("Valid for, days", days),
    h("fieldset", { class: "wide" }, h("legend", {}, "It may"), h("div", { class: "choices" }, scopes.map(({ root }) => root))),
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Create the key")), told);
}

function passwordForm(place) {
  const problem = h("div", {});
  const now = h("input", { type: "password", autocomplete: "current-password", required: true });
  const next = h("input", { type: "password", autocomplete: "new-password", minlength: 8, maxlength: 200, required: true });
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      await post("/api/auth/password", { current_password: now.value, new_password: next.value });
      show(place, passwordForm(place), h("p", { class: "notice good", role: "status" }, "Your password is changed."));
      place.querySelector("input").focus();
    }, failure);
  };
  return h("form", { class: "form", onsubmit: submit }, field("Present password", now), field("New password", next),
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "quiet" }, "Change the password")), problem);
}
