/** Times as people read them, in the reader's own language and zone. */

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
});
const DAY = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
});
const DATE = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
});
const YEAR = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "long",
  year: "numeric",
});
const FULL = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full",
  timeStyle: "medium",
});

/** @param {string | number | Date} moment */
export function clock(moment) {
  return CLOCK.format(new Date(moment));
}

/** @param {string} moment */
export function full(moment) {
  return FULL.format(new Date(moment));
}

/** The day as a number that grows by one a day. @param {string | Date} moment */
export function dayNumber(moment) {
  const date = new Date(moment);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000);
}

/** @param {string} moment */
export function dayName(moment, now = new Date()) {
  const away = dayNumber(now) - dayNumber(moment);
  if (away === 0) return "Today";
  if (away === 1) return "Yesterday";
  const date = new Date(moment);
  return (date.getFullYear() === now.getFullYear() ? DAY : YEAR).format(date);
}

/** A clock time today, a date otherwise. @param {string} moment */
export function short(moment, now = new Date()) {
  return dayNumber(moment) === dayNumber(now) ? clock(moment) : DATE.format(new Date(moment));
}

/** How long until a moment, in words. @param {string} moment */
export function until(moment, now = Date.now()) {
  const minutes = Math.max(1, Math.ceil((new Date(moment).getTime() - now) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

/** The milliseconds in a version-7 UUID, which say when it was made. @param {string} id */
export function madeAt(id) {
  return parseInt(id.replaceAll("-", "").slice(0, 12), 16);
}
