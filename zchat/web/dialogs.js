/** Dialogs, popovers and short notes: the pieces that every part uses. */

import { reasonOf } from "./api.js";
import { freshId, h, iconButton } from "./dom.js";

/**
 * Show a dialog with a title, a button to close it, and what `fill` puts in.
 * @param {string} title
 * @param {(close: () => void) => (import("./dom.js").Child | import("./dom.js").Child[])} fill
 * @param {string} [kind]
 */
export function showDialog(title, fill, kind = "") {
  const id = freshId();
  const dialog = h("dialog", {
    class: `dialog ${kind}`,
    "aria-labelledby": id,
  });
  const close = () => dialog.close();
  const content = fill(close);
  dialog.append(
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id }, title),
      iconButton("close", "Close", close),
    ),
    h("div", { class: "dialog-body" }, .../** @type {any[]} */ ([content].flat()).filter(Boolean)),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (dialog.querySelector("input, textarea"))?.focus();
  return dialog;
}

/**
 * @typedef {{
 *   name: string, label: string, value?: string, type?: string, hint?: string,
 *   options?: [string, string][], required?: boolean, maxlength?: number,
 *   autocomplete?: string, inputmode?: string, min?: string,
 * }} Field
 */

/**
 * A form that says where it was refused, and why.
 * @param {Field[]} fields @param {string} submit The text of its button.
 * @param {(values: Record<string, string>) => Promise<void> | void} act
 */
export function formOf(fields, submit, act) {
  const alert = h("p", { class: "reason", role: "alert" });
  const button = h("button", { type: "submit", class: "primary" }, submit);
  const form = h(
    "form",
    { class: "form", novalidate: true },
    fields.map((field) => fieldOf(field)),
    alert,
    h("div", { class: "buttons" }, button),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    alert.textContent = "";
    const missing = fields.find((field) => field.required && !valueOf(form, field.name).trim());
    if (missing) {
      alert.textContent = `${missing.label} is missing.`;
      inputOf(form, missing.name).focus();
      return;
    }
    button.disabled = true;
    try {
      await act(Object.fromEntries(fields.map((field) => [field.name, valueOf(form, field.name)])));
    } catch (error) {
      alert.textContent = reasonOf(error);
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

/** @param {HTMLFormElement} form @param {string} name */
function inputOf(form, name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
}

/** @param {HTMLFormElement} form @param {string} name */
function valueOf(form, name) {
  return inputOf(form, name).value;
}

/** A labelled input, text area or choice. @param {Field} field */
export function fieldOf(field) {
  const id = freshId();
  const hintId = field.hint ? freshId() : null;
  const shared = {
    id,
    name: field.name,
    "aria-describedby": hintId,
    maxlength: field.maxlength,
    required: field.required,
  };
  let input;
  if (field.options) {
    input = h(
      "select",
      shared,
      field.options.map(([value, text]) => h("option", { value }, text)),
    );
    input.value = field.value ?? field.options[0][0];
  } else if (field.type === "textarea") {
    input = h("textarea", {
      ...shared,
      rows: 3,
      dir: "auto",
      ".value": field.value ?? "",
    });
  } else {
    input = h("input", {
      ...shared,
      type: field.type ?? "text",
      ".value": field.value ?? "",
      dir: "auto",
      min: field.min,
      autocomplete: field.autocomplete ?? "off",
      inputmode: field.inputmode,
      spellcheck: "false",
      autocapitalize: "none",
    });
  }
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, field.label),
    input,
    field.hint && h("p", { class: "hint", id: hintId }, field.hint),
  );
}

/** A dialog that is one form and closes when it succeeds.
 * @param {string} title @param {Field[]} fields @param {string} submit
 * @param {(values: Record<string, string>) => Promise<void> | void} act
 */
export function askForm(title, fields, submit, act) {
  return showDialog(title, (close) =>
    formOf(fields, submit, async (values) => {
      await act(values);
      close();
    }),
  );
}

/**
 * Ask before something that cannot be undone.
 * @param {string} title @param {string} text @param {string} yes @param {() => Promise<void> | void} act
 */
export function confirmThat(title, text, yes, act) {
  return showDialog(title, (close) => [
    h("p", {}, text),
    formOf([], yes, async () => {
      await act();
      close();
    }),
  ]);
}

/**
 * A menu beside a button; it closes by itself when the focus goes elsewhere.
 * @param {Element} beside @param {string} label
 * @param {(import("./dom.js").Child)[]} children @param {string} kind
 */
export function showPopover(beside, label, children, kind) {
  const popover = h(
    "div",
    {
      class: `popover ${kind}`,
      popover: "auto",
      role: "group",
      "aria-label": label,
    },
    children,
  );
  (beside.closest("main, dialog") ?? document.body).append(popover);
  popover.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "closed") {
      popover.remove();
    }
  });
  popover.showPopover();
  const place = beside.getBoundingClientRect();
  const size = popover.getBoundingClientRect();
  const left = Math.max(8, Math.min(place.right - size.width, innerWidth - size.width - 8));
  const below = place.bottom + 4;
  const top =
    below + size.height < innerHeight - 8 ? below : Math.max(8, place.top - size.height - 4);
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
  /** @type {HTMLElement | null} */ (popover.querySelector("button, input"))?.focus();
  return popover;
}

/** @type {HTMLElement | null} */
let notes = null;

/**
 * A note at the edge of the screen, for a few seconds.
 * @param {string} text @param {{ label: string, act: () => void }} [action]
 */
export function note(text, action, milliseconds = 6000) {
  if (!notes?.isConnected) {
    notes = h("div", { class: "notes", role: "status" });
    document.body.append(notes);
  }
  const element = h(
    "div",
    { class: "note" },
    h("span", {}, text),
    action &&
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            element.remove();
            action.act();
          },
        },
        action.label,
      ),
  );
  notes.append(element);
  setTimeout(() => element.remove(), milliseconds);
  return element;
}

/** A text that is shown to be copied. @param {string} label @param {string} text */
export function copyable(label, text) {
  const input = h("input", {
    type: "text",
    readonly: true,
    "aria-label": label,
    ".value": text,
    class: "copyable",
  });
  const button = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        input.select();
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          document.execCommand("copy");
        }
        button.textContent = "Copied";
      },
    },
    "Copy",
  );
  return h("div", { class: "copy-row" }, input, button);
}

/** A QR code, drawn once its module has been loaded. @param {string} text @param {string} label */
export function qrFigure(text, label) {
  const figure = h("figure", {});
  import("./qr.js").then(
    ({ qrCanvas }) => figure.append(qrCanvas(text, label)),
    (error) => figure.append(reasonOf(error)),
  );
  return figure;
}
