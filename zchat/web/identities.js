/**
 * Who this browser can be: tokens in localStorage, the one in use per tab.
 *
 * A tab keeps its own choice in sessionStorage, so that two tabs may be two
 * people; a new tab is whoever was used last.
 */

/** @typedef {{ token: string, user_id: string, name: string }} Identity */

const ALL = "zchat.identities";
const CURRENT = "zchat.current";

/** @returns {Identity[]} */
export function identities() {
  try {
    const found = JSON.parse(localStorage.getItem(ALL) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one?.token === "string") : [];
  } catch {
    return [];
  }
}

/** @returns {Identity | null} */
export function current() {
  const all = identities();
  const wanted = sessionStorage.getItem(CURRENT) ?? localStorage.getItem(CURRENT);
  return all.find((one) => one.user_id === wanted) ?? all[0] ?? null;
}

/** Keep an identity, newest first, and use it in this tab. @param {Identity} identity */
export function keep(identity) {
  const others = identities().filter((one) => one.user_id !== identity.user_id);
  localStorage.setItem(ALL, JSON.stringify([identity, ...others]));
  use(identity.user_id);
}

/** @param {string} userId */
export function use(userId) {
  sessionStorage.setItem(CURRENT, userId);
  localStorage.setItem(CURRENT, userId);
}

/** Forget an identity, its token and what it left in this browser. @param {string} userId */
export function forget(userId) {
  localStorage.setItem(ALL, JSON.stringify(identities().filter((one) => one.user_id !== userId)));
  sessionStorage.removeItem(CURRENT);
  if (localStorage.getItem(CURRENT) === userId) {
    localStorage.removeItem(CURRENT);
  }
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith("zchat.") && name.endsWith(`.${userId}`)) {
      localStorage.removeItem(name);
    }
  }
}

/** @param {string} userId @param {string} name */
export function renamed(userId, name) {
  const all = identities();
  for (const one of all) if (one.user_id === userId) one.name = name;
  localStorage.setItem(ALL, JSON.stringify(all));
}
