// Creating an account, where registration is open.

import { register } from "../api.js";
import { h, show } from "../dom.js";
import { door, field, form, sentence } from "./door.js";

/** The registration view; whoever registers is signed in. */
export function registerView({ onSignedIn }) {
  const problem = h("div", { id: "problem", role: "alert" });
  const parts = {
    name: field("Name", { id: "name", autocomplete: "name", maxlength: 100 }),
    email: field("E-mail", { id: "email", type: "email", autocomplete: "username", maxlength: 254 }),
    password: field("Password", {
      id: "password", type: "password", autocomplete: "new-password",
      hint: "8 to 200 characters; several words, 15 characters or more, are best. Easily guessed ones are refused.",
    }),
  };
  const value = (name) => parts[name].input.value;
  const send = async () => {
    for (const part of Object.values(parts)) part.complain(null);
    onSignedIn(await register(value("email").trim(), value("password"), value("name").trim()));
  };
  const explain = (error) => {
    const told = (error.details ?? []).filter(({ field: name }) => name in parts);
    for (const { field: name, message } of told) parts[name].complain(message);
    if (error.status === 409) parts.email.complain(error.message);
    else if (told.length === 0) show(problem, h("p", { class: "notice bad" }, sentence(error)));
    Object.values(parts).find(({ input }) => input.hasAttribute("aria-invalid"))?.input.focus();
  };
  return door("Create an account",
    form({
      fields: Object.values(parts).map((part) => part.root), problem,
      label: "Create account", busy: "Creating it …", send, explain,
    }),
    h("p", { class: "fine" }, "You have one? ", h("a", { href: "#/" }, "Sign in")));
}
