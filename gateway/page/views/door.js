// The forms before signing in: a card with a form, whose fields say what is wrong with them.

import { h, show } from "../dom.js";

/** A labelled field; `complain(text)` puts a sentence below it, `complain(null)` takes it away. */
export function field(label, { id, hint = null, ...attributes }) {
  const said = h("p", { class: "field-problem", id: `${id}-problem` });
  const input = h("input", {
    id, name: id, required: true, ...attributes, "aria-describedby": [`${id}-problem`, hint && `${id}-hint`].filter(Boolean).join(" "),
  });
  const complain = (text) => {
    show(said, text);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const root = h("div", { class: "field" },
    h("label", { for: id }, label), input, hint && h("p", { class: "fine", id: `${id}-hint` }, hint), said);
  return { root, input, complain };
}

/** The card around a form. */
export function door(title, ...content) {
  return h("main", { id: "main", class: "signin" },
    h("div", { class: "signin-card" },
      h("img", { src: "/page/favicon.svg", alt: "", width: 44, height: 44 }),
      h("h1", {}, title),
      content));
}

/** A form that is sent once at a time; `send` throws what went wrong, `explain` says it. */
export function form({ fields, problem, label, busy, send, explain }) {
  const button = h("button", { type: "submit", class: "main" }, label);
  const submit = async (event) => {
    event.preventDefault();
    show(problem);
    button.disabled = true;
    button.textContent = busy;
    try {
      await send();
    } catch (error) {
      button.disabled = false;
      button.textContent = label;
      explain(error);
    }
  };
  return h("form", { onsubmit: submit, novalidate: true }, fields, problem, button);
}

/** A sentence for a failure that concerns no field. */
export function sentence(error) {
  return error.requestId && error.status >= 500 ? `${error.message} (request ${error.requestId})` : error.message;
}
