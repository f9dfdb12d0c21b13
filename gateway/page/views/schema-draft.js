// A schema that is being written. The form changes its values, a person its text; the server makes each from the other and
// names what is wrong, so that both always say the same.

import { post } from "../api.js";

const WAIT_MS = 400;
/** Keys of the table, and of [subscription], that name a column; those of SET_APART can't be features too. */
export const TABLE_ROLES = ["id", "label", "as_of", "email"];
export const SET_APART = new Set([...TABLE_ROLES, "start", "end", "end_reason"]);
const ONLY_NUMBERS = ["unit", "whole", "direction", "step", "target"];

export class Draft {
  #timer = null;
  #work = Promise.resolve();
  #turn = 0;
  #next = null;
  #parked = new Map();

  /** `tell` is called with "text" or "values", whichever the server made anew; `expired` where nobody is signed in any more. */
  constructor({ toml, table_schema: values, columns }, { tell, expired }) {
    Object.assign(this, { text: toml, values, columns, names: columns.map((each) => each.name), fault: null, tell, expired });
  }

  /** Change the values, and have the text follow. */
  change(edit) {
    edit(this.values);
    this.#later({ table_schema: this.values });
  }

  /** Change the text, and have the values follow. */
  write(text) {
    this.text = text;
    this.#later({ schema: text });
  }

  /** Wait until the server has seen the last change; answers whether the schema can be used. */
  async settled() {
    if (this.#timer !== null) this.#start();
    await this.#work;
    return this.fault === null;
  }

  #later(body) {
    clearTimeout(this.#timer);
    this.#next = body;
    this.#turn += 1;
    this.#timer = setTimeout(() => this.#start(), WAIT_MS);
  }

  #start() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const [body, turn] = [this.#next, this.#turn];
    this.#work = this.#work.then(() => this.#check(body, turn));
  }

  async #check(body, turn) {
    const isText = body.schema !== undefined;
    try {
      const found = await post("/api/schema/check", body);
      if (turn !== this.#turn) return;
      this.fault = null;
      if (isText) this.values = found.table_schema;
      else this.text = found.toml;
    } catch (error) {
      if (error.isSignedOut) { this.expired(); return; }
      if (!error.code) throw error;
      if (turn !== this.#turn) return;
      this.fault = error;
    }
    this.tell(isText ? "values" : "text");
  }

  /** The role of a column; "" where it has none. */
  role(column) {
    const { subscription = {} } = this.values;
    return TABLE_ROLES.find((role) => this.values[role] === column) ?? Object.keys(subscription).find((role) => subscription[role] === column) ?? "";
  }

  /** How the model uses a column: "number", "category", or "out". */
  use(column) {
    return this.values.features[column]?.kind ?? "out";
  }

  /** Give a column a role, which another column may lose; answers the columns that changed. */
  setRole(column, role) {
    const before = role && (TABLE_ROLES.includes(role) ? this.values[role] : this.values.subscription?.[role]);
    this.change((values) => {
      for (const each of [column, before].filter(Boolean)) this.#clear(values, each);
      if (TABLE_ROLES.includes(role)) values[role] = column;
      else if (role) values.subscription = { ...values.subscription, [role]: column };
      if (SET_APART.has(role)) this.#park(values, column);
      for (const each of [column, before].filter(Boolean)) this.#account(values, each);
    });
    return [column, before].filter(Boolean);
  }

  /** Make a column a number or a category of the model, or leave it out. */
  setUse(column, use) {
    this.change((values) => {
      if (use === "out") this.#park(values, column);
      else {
        const feature = { ...(values.features[column] ?? this.#parked.get(column)), kind: use };
        if (use === "category") for (const key of ONLY_NUMBERS) delete feature[key];
        values.features = this.#inOrder({ ...values.features, [column]: feature });
      }
      this.#account(values, column);
    });
  }

  /** Set a key of a feature; an empty one is left out. */
  setKey(column, key, value) {
    this.change((values) => {
      if (value === "" || value === null) delete values.features[column][key];
      else values.features[column][key] = value;
    });
  }

  /** The column that a fault's field is about: its own name, a feature's key, or the key of a role; null for none. */
  columnOf(field) {
    if (this.names.includes(field)) return field;
    const [first, role] = String(field ?? "").split(".");
    if (first === "positive") return this.values.label ?? null;
    if (first === "subscription") return this.values.subscription?.[role] ?? null;
    if (TABLE_ROLES.includes(first)) return this.values[first] ?? null;
    const named = this.names.filter((name) => field === `features.${name}` || String(field).startsWith(`features.${name}.`));
    return named.sort((a, b) => b.length - a.length)[0] ?? null;
  }

  #clear(values, column) {
    for (const role of TABLE_ROLES) if (values[role] === column) delete values[role];
    if (values.label === undefined) delete values.positive;
    values.subscription = Object.fromEntries(Object.entries(values.subscription ?? {}).filter(([, each]) => each !== column));
  }

  #park(values, column) {
    if (values.features[column]) this.#parked.set(column, values.features[column]);
    const { [column]: _, ...rest } = values.features;
    values.features = rest;
  }

  /** A column that is neither a feature nor has a role is left out by name. */
  #account(values, column) {
    const rest = (values.ignore ?? []).filter((each) => each !== column);
    values.ignore = this.role(column) || values.features[column] ? rest : [...rest, column];
  }

  #inOrder(features) {
    const known = this.names.filter((name) => name in features);
    const others = Object.keys(features).filter((name) => !this.names.includes(name));
    return Object.fromEntries([...known, ...others].map((name) => [name, features[name]]));
  }
}
