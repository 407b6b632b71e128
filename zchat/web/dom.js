/**
 * Makes elements. Text only ever becomes text nodes and attribute values:
 * nothing here, or anywhere in the page, parses markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes, listeners (`onclick`), properties of the form
 * `.value`, and children; null and false children are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith(".")) Reflect.set(element, name.slice(1), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children.flat());
  return element;
}

/** @param {Node} parent @param {Child[]} children */
export function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children.flat());
}

/** @type {Record<string, string>} Paths in a box of 24 by 24, drawn as strokes. */
const PATHS = {
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12l16-8-6 16-3-7z",
  attach:
    "M20 11l-8.5 8.5a5 5 0 01-7-7L13 4a3.4 3.4 0 015 5l-8.500 8.500a1.600 1.600 0 01-2.500-2.500L15 7.500",
  clock: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3 2",
  people:
    "M9 11a3.500 3.500 0 100-7 3.500 3.500 0 000 7zM2.500 20a6.500 6.500 0 0113 0M16 4.500a3.500 3.500 0 010 6.500M18 14a6.500 6.500 0 013.500 6",
  plus: "M12 5v14M5 12h14",
  more: "M5 11a1 1 0 100 2 1 1 0 000-2zM12 11a1 1 0 100 2 1 1 0 000-2zM19 11a1 1 0 100 2 1 1 0 000-2z",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14zM16 16l4.500 4.500",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M13 4.500v5M11 14.500v5",
  leave: "M14 4h4a2 2 0 012 2v12a2 2 0 01-2 2h-4M10 8l-4 4 4 4M6 12h9",
  reply: "M10 6l-6 5 6 5v-3.500c5 0 8 1.500 10 5 0-6-4-9-10-9z",
  edit: "M4 20l1-4L16 5l3 3L8 19z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  flag: "M6 21V4h11l-2 4 2 4H6",
  smile: "M12 3a9 9 0 100 18 9 9 0 000-18zM9 10h.01M15 10h.01M8.500 14a4.500 4.500 0 007 0",
  down: "M12 5v14M6 13l6 6 6-6",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  link: "M10 14a4 4 0 006 0l3-3a4 4 0 00-6-6l-1 1M14 10a4 4 0 00-6 0l-3 3a4 4 0 006 6l1-1",
  check: "M5 13l4 4L19 7",
};

/** @param {string} name */
export function icon(name) {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  box.setAttribute("viewBox", "0 0 24 24");
  box.setAttribute("class", "icon");
  box.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name] ?? "");
  box.appendChild(path);
  return box;
}

/**
 * A button that shows an icon and is named by its label.
 * @param {string} name @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {Record<string, any>} [props]
 */
export function iconButton(name, label, onclick, props = {}) {
  return h(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": label,
      title: label,
      onclick,
      ...props,
    },
    icon(name),
  );
}

/** A number from 0 to 359 that is always the same for one id. @param {string} id */
export function hueOf(id) {
  let sum = 7;
  for (const character of id) sum = (sum * 31 + character.charCodeAt(0)) % 997;
  return (sum * 47) % 360;
}

/** @param {string} id @param {string} name */
export function avatar(id, name, kind = "person") {
  const initial = kind === "common" ? "#" : (Array.from(name)[0] ?? "?").toUpperCase();
  const element = h("span", { class: `avatar ${kind}`, "aria-hidden": "true" }, initial);
  element.style.setProperty("--hue", String(hueOf(id)));
  return element;
}

let lastId = 0;
/** An id for an element that another has to name. */
export function freshId() {
  lastId += 1;
  return `e${lastId}`;
}

/** A hidden place that screen readers read out when its text changes. */
let region = /** @type {HTMLElement | null} */ (null);

/** @param {string} text */
export function announce(text) {
  if (!region?.isConnected) {
    region = h("div", { role: "status", class: "visually-hidden" });
    document.body.append(region);
  }
  region.textContent = text;
}

/** Joins listeners by name; `emit` calls them in order. */
export class Emitter {
  constructor() {
    /** @type {Map<string, Set<(value: any) => void>>} */
    this._listeners = new Map();
  }

  /** @param {string} name @param {(value: any) => void} listener */
  on(name, listener) {
    const listeners = this._listeners.get(name) ?? new Set();
    this._listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** @param {string} name @param {any} [value] */
  emit(name, value) {
    for (const listener of this._listeners.get(name) ?? []) listener(value);
  }
}

/** Calls `draw` at most once a frame, however often it is asked. @param {() => void} draw */
export function framed(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    // A hidden tab gets no frames, but its title and list still have to be right.
    const later = document.hidden
      ? (/** @type {() => void} */ f) => setTimeout(f, 50)
      : requestAnimationFrame;
    later(() => {
      asked = false;
      draw();
    });
  };
}
