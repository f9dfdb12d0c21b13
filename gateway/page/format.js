// Numbers, dates and names for people. Null is shown as a dash; whoever shows it says why.

export const NONE = "–";
const digits = (least, most) => new Intl.NumberFormat(undefined, { minimumFractionDigits: least, maximumFractionDigits: most });
const whole = digits(0, 0);
const upToOne = digits(0, 1);
const oneDecimal = digits(1, 1);
const twoDecimals = digits(2, 2);
const threeDecimals = digits(3, 3);
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const months = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", timeZone: "UTC" });
const monthsAlone = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });
const moments = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});

/** 13334 -> "13,334" */
export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** For labels in a chart: 1234567 -> "1.2M" where there is no room for all of it. */
export const compact = (value) => (Math.abs(value) >= 100_000 ? short.format(value) : whole.format(value));

/** 126.83 -> "126.8" */
export const number = (value) => (known(value) ? upToOne.format(value) : NONE);

/** 164 -> "164.0": where figures stand below each other */
export const tenths = (value) => (known(value) ? oneDecimal.format(value) : NONE);

/** 0.8423 -> "84.2 %"; what rounds to nothing but is not nothing is "<0.1 %" */
export function percent(share) {
  if (!known(share)) return NONE;
  if (share > 0 && share < 0.0005) return `<${oneDecimal.format(0.1)} %`;
  if (share < 1 && share >= 0.9995) return `>${oneDecimal.format(99.9)} %`;
  return `${oneDecimal.format(share * 100)} %`;
}

/** 0.7 -> "70 %", 0.725 -> "72.5 %": a setting, not a measurement */
export const cutText = (share) => `${upToOne.format(share * 100)} %`;

/** 22.9 -> "22.90" */
export const hundredths = (value) => (known(value) ? twoDecimals.format(value) : NONE);

/** 4.23 -> "4.2 %": a figure that is in per cent already */
export const percentOf100 = (value) => (known(value) ? `${oneDecimal.format(value)} %` : NONE);

/** 1030.4, "USD" -> "$1,030"; without a currency the number alone. Small amounts keep their cents. */
export function money(value, currency = null) {
  if (!known(value)) return NONE;
  const decimals = Math.abs(value) < 1000 ? 2 : 0;
  if (!/^[A-Z]{3}$/.test(currency ?? "")) return digits(decimals, decimals).format(value);
  return new Intl.NumberFormat(undefined, {
    style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals,
  }).format(value);
}

/** 170.88, "USD" -> "$171": where amounts of all sizes stand below each other */
export const wholeMoney = (value, currency = null) => (known(value) && /^[A-Z]{3}$/.test(currency ?? "")
  ? new Intl.NumberFormat(undefined, { style: "currency", currency, maximumFractionDigits: 0 }).format(value) : count(value));

/** 8.13 -> "+8.1 points" */
export function points(value) {
  if (!known(value)) return NONE;
  return `${signed(value, oneDecimal, 1)} points`;
}

/** -120 -> "−120" */
export const change = (value) => (known(value) ? signed(value, whole, 0) : NONE);

/** 0.8673 -> "0.867" */
export const score = (value) => (known(value) ? threeDecimals.format(value) : NONE);

/** "2026-11-22" or "2026-11-22T15:06:09Z" -> "Nov 22, 2026": a day of the data, which is a day in UTC */
export const day = (text) => (text ? days.format(new Date(`${String(text).slice(0, 10)}T00:00:00Z`)) : NONE);

const atNoon = (text) => new Date(`${String(text).slice(0, 10)}T12:00:00Z`);

/** "2026-11-22" -> "Nov 2026" */
export const month = (text) => months.format(atNoon(text));

/** The months of days in their order, for an axis: the year stands where it begins: "Dec 2025", "Jan 2026", "Mar" */
export const monthTicks = (days) => days.map((text, i) =>
  (i > 0 && String(text).slice(0, 4) === String(days[i - 1]).slice(0, 4) ? monthsAlone.format(atNoon(text)) : month(text)));

/** "2026-11-22T15:06:09Z" -> "Nov 22, 2026, 04:06 PM GMT+1": in the reader's zone */
export const moment = (text) => (text ? moments.format(new Date(text)) : NONE);

/** [50.1, 99.5] -> "50.1 to 99.5"; null where an end is unknown */
export const interval = (ends, write = tenths) => (ends && known(ends[0]) && known(ends[1]) ? `${write(ends[0])} to ${write(ends[1])}` : null);

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

/** The address of a new mail: what came with a file stays within the address, and fills no other field of the mail. */
export const mailto = (address) => `mailto:${encodeURIComponent(address).replaceAll("%40", "@")}`;

export const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

function signed(value, formatter, decimals) {
  const text = formatter.format(Math.abs(value));
  if (Number(Math.abs(value).toFixed(decimals)) === 0) return `±${text}`;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** The days that a model's scores cover, as words: " within 30 days"; nothing where its table does not say. */
export const within = (days) => (known(days) ? ` within ${plural(days, "day")}` : "");
