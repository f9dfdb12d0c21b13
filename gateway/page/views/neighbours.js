// The customers before and after a customer: in the list that was read last, else by probability.

import { get } from "../api.js";

const PAGE = 100;
let last = { query: new URLSearchParams(), ids: [], next: null };

/** Keep the order of the list that was read last, and where it goes on. */
export function remember(query, ids, next) {
  last = { query, ids, next };
}

/** The customers before and after one; null where there is none or the list does not hold them. */
export async function neighbours(id) {
  if (!last.ids.includes(id) && last.ids.length === 0) await readOn();
  if (last.ids[last.ids.length - 1] === id && last.next) await readOn();
  const at = last.ids.indexOf(id);
  return { before: last.ids[at - 1] ?? null, after: at < 0 ? null : last.ids[at + 1] ?? null, at: at < 0 ? null : at + 1 };
}

async function readOn() {
  const query = new URLSearchParams(last.query);
  query.set("limit", PAGE);
  if (last.next) query.set("after", last.next);
  const { customers, next } = await get(`/api/customers?${query}`);
  last = { ...last, ids: [...last.ids, ...customers.map((c) => c.user_id)], next };
}
