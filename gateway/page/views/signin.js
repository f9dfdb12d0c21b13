// Signing in.

import { signIn } from "../api.js";
import { h, show } from "../dom.js";

/** The sign-in view; `reason` says why somebody who was signed in sees it. */
export function signInView({ reason, onSignedIn }) {
  const problem = h("div", { id: "problem", role: "alert" });
  const email = h("input", {
    id: "email", name: "email", type: "email", autocomplete: "username", required: true, maxlength: 254,
    "aria-describedby": "problem",
  });
  const password = h("input", {
    id: "password", name: "password", type: "password", autocomplete: "current-password", required: true,
    "aria-describedby": "problem",
  });
  const button = h("button", { type: "submit", class: "main" }, "Sign in");
  const submit = (event) => {
    event.preventDefault();
    attempt({ email, password, button, problem, onSignedIn });
  };
  return h("main", { id: "main", class: "signin" },
    h("div", { class: "signin-card" },
      h("img", { src: "/page/favicon.svg", alt: "", width: 44, height: 44 }),
      h("h1", {}, "RetainStream"),
      h("p", { class: "note" }, "Who will leave in the next 30 days, why, and what to do about it."),
      reason && h("p", { class: "notice", role: "status" }, reason),
      h("form", { onsubmit: submit, novalidate: true },
        h("label", { for: "email" }, "E-mail"), email,
        h("label", { for: "password" }, "Password"), password,
        problem, button)));
}

async function attempt({ email, password, button, problem, onSignedIn }) {
  show(problem);
  const missing = [email, password].find((field) => !field.value.trim());
  if (missing) {
    complain(problem, missing === email ? "Enter your e-mail address." : "Enter your password.");
    missing.focus();
    return;
  }
  button.disabled = true;
  button.textContent = "Signing in …";
  try {
    onSignedIn(await signIn(email.value.trim(), password.value));
  } catch (error) {
    complain(problem, explain(error));
    button.disabled = false;
    button.textContent = "Sign in";
    password.select();
  }
}

function complain(problem, text) {
  show(problem, h("p", { class: "notice bad" }, text));
}

function explain(error) {
  if (error.status === 401) return "This e-mail and password don't belong together. Check both and try again.";
  if (error.status === 422) return "Enter a whole e-mail address and your password.";
  return error.requestId && error.status >= 500 ? `${error.message} (request ${error.requestId})` : error.message;
}
