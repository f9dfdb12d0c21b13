// Signing in.

import { health, signIn } from "../api.js";
import { h, show } from "../dom.js";
import { door, field, form, sentence } from "./door.js";

/** The sign-in view; `reason` says why somebody who was signed in sees it. */
export function signInView({ reason, onSignedIn }) {
  const problem = h("div", { id: "problem", role: "alert" });
  const complain = (text) => show(problem, h("p", { class: "notice bad" }, text));
  const email = field("E-mail", { id: "email", type: "email", autocomplete: "username", maxlength: 254 });
  const password = field("Password", { id: "password", type: "password", autocomplete: "current-password" });
  const accounts = h("p", { class: "fine", id: "accounts" });
  tellWhoMakesAccounts(accounts);
  const send = async () => {
    const missing = [email, password].find(({ input }) => !input.value.trim());
    if (missing) {
      missing.input.focus();
      throw new Error(missing === email ? "Enter your e-mail address." : "Enter your password.");
    }
    onSignedIn(await signIn(email.input.value.trim(), password.input.value));
  };
  const explain = (error) => {
    complain(explained(error));
    if (error.status) password.input.select();
  };
  return door("RetainStream",
    h("p", { class: "note" }, "It predicts who will leave in the next 30 days, why, and what to do about it."),
    reason && h("p", { class: "notice", role: "status" }, reason),
    form({ fields: [email.root, password.root], problem, label: "Sign in", busy: "Signing in …", send, explain }),
    accounts);
}

/** Where an account comes from: from oneself where registration is open, else from whoever runs this server. */
async function tellWhoMakesAccounts(place) {
  const { registration } = await health().catch(() => ({}));
  if (registration === "open") {
    show(place, "No account yet? ", h("a", { href: "#/register" }, "Create an account"));
  } else if (registration === "closed") {
    show(place, "No account yet? An administrator makes them, or whoever runs this server: ",
      h("code", {}, "retainstream user create E-MAIL --name NAME"));
  }
}

function explained(error) {
  if (error.status === 401) return "This e-mail and password don't belong together. Check both and try again.";
  if (error.status === 422) return "Enter a whole e-mail address and your password.";
  return sentence(error);
}
