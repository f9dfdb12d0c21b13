// Numbers, dates and names for people. Null is shown as a dash; whoever shows it says why.

export const NONE = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const upToOne = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const oneDecimal = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const twoDecimals = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** 13334 -> "13,334" */
export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** For labels in a chart: 1234567 -> "1.2M" where there is no room for all of it. */
export const compact = (value) => (value >= 100_000 ? short.format(value) : whole.format(value));

/** 126.83 -> "126.8" */
export const number = (value) => (known(value) ? upToOne.format(value) : NONE);

/** 0.8423 -> "84.2 %"; what rounds to nothing but is not nothing is "<0.1 %" */
export function percent(share) {
  if (!known(share)) return NONE;
  if (share > 0 && share < 0.0005) return "<0.1 %";
  if (share < 1 && share >= 0.9995) return ">99.9 %";
  return `${oneDecimal.format(share * 100)} %`;
}

/** 0.7 -> "70 %", 0.725 -> "72.5 %": a setting, not a measurement */
export const cutText = (share) => `${upToOne.format(share * 100)} %`;

/** 22.9 -> "22.90" */
export const hundredths = (value) => (known(value) ? twoDecimals.format(value) : NONE);

/** 4.23 -> "4.2 %": a figure that is in per cent already */
export const percentOf100 = (value) => (known(value) ? `${oneDecimal.format(value)} %` : NONE);

/** 8.13 -> "+8.1 points" */
export function points(value) {
  if (!known(value)) return NONE;
  return `${signed(value, oneDecimal)} points`;
}

/** -120 -> "−120" */
export const change = (value) => (known(value) ? signed(value, whole) : NONE);

/** 0.8673 -> "0.867" */
export const score = (value, digits = 3) => (known(value) ? value.toFixed(digits) : NONE);

/** "2026-11-22T15:06:09Z" -> "2026-11-22" */
export const day = (text) => (text ? String(text).slice(0, 10) : NONE);

/** "2026-11-22T15:06:09Z" -> "2026-11-22 15:06 UTC" */
export const moment = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : NONE);

/** 1 -> "1 month", 14 -> "14 months" */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** "watch_time_hours" -> "Watch time hours" */
export function title(name) {
  const spaced = name.replaceAll("_", " ").trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** The number at the start of a text such as "+0.4%" or "86%"; null where there is none. */
export function numberIn(text) {
  const found = text === null || text === undefined ? NaN : Number.parseFloat(text);
  return Number.isNaN(found) ? null : found;
}

/** A feature name as the API makes a column of it: "Call  Failure" -> "call_failure". */
export function column(feature) {
  const spaced = feature.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
  const plain = spaced.replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "") || "f";
  return /^[a-z]/.test(plain) ? plain : `f_${plain}`;
}

export const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

function signed(value, formatter) {
  const text = formatter.format(Math.abs(value));
  if (Number(text.replaceAll(",", "")) === 0) return `±${text}`;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** The days that a model's scores cover, as words: " within 30 days"; nothing where its table does not say. */
export const within = (days) => (known(days) ? ` within ${days} days` : "");
