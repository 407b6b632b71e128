/** One's name, the look, notifications, other devices, other people. */

import { reasonOf } from "./api.js";
import { forget, identities, renamed, use } from "./identities.js";
import { copyable, formOf, note, qrFigure, showDialog } from "./dialogs.js";
import { avatar, fill, h } from "./dom.js";
import { chooseTheme, chosenTheme } from "./theme.js";

const NOTIFY = "zchat.notify";

/** Whether notifications were asked for, and are allowed. */
export function mayNotify() {
  return (
    localStorage.getItem(NOTIFY) === "on" &&
    "Notification" in window &&
    Notification.permission === "granted"
  );
}

export class Settings {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this._app = app;
    this._client = app.client;
  }

  show() {
    showDialog(
      "Settings",
      (close) => [
        formOf(
          [
            {
              name: "name",
              label: "Name",
              value: this._client.me.name,
              maxlength: 32,
              required: true,
            },
          ],
          "Change name",
          async ({ name }) => {
            const found = await this._client.api.post("/rename", {
              name: name.trim(),
            });
            renamed(this._client.me.id, found.name);
            this._client.me = { ...this._client.me, name: found.name };
            this._client.emit("me");
            note(`You are ${found.name} now.`);
          },
        ),
        this._look(),
        this._notifications(),
        this._receipts(),
        this._device(),
        this._people(close),
      ],
      "wide",
    );
  }

  _look() {
    const choice = chosenTheme();
    const option = (/** @type {string} */ value, /** @type {string} */ text) =>
      h(
        "label",
        { class: "choice" },
        h("input", {
          type: "radio",
          name: "theme",
          value,
          ".checked": value === choice,
          onchange: () => chooseTheme(value),
        }),
        text,
      );
    return h(
      "fieldset",
      { class: "section" },
      h("legend", {}, "Look"),
      h(
        "div",
        { class: "choices" },
        option("system", "As the system"),
        option("light", "Light"),
        option("dark", "Dark"),
      ),
    );
  }

  _notifications() {
    const isPossible = "Notification" in window && isSecureContext;
    const box = h("input", {
      type: "checkbox",
      ".checked": mayNotify(),
      disabled: !isPossible,
      onchange: async () => {
        const isWanted = box.checked && (await Notification.requestPermission()) === "granted";
        localStorage.setItem(NOTIFY, isWanted ? "on" : "off");
        if (box.checked && !isWanted) {
          note(
            "This browser does not allow notifications for this page. Permit them in its settings.",
          );
        }
        box.checked = isWanted;
      },
    });
    return h(
      "section",
      { class: "section" },
      h("h3", {}, "Notifications"),
      h("label", { class: "choice" }, box, "Notify me of private messages and mentions"),
      !isPossible &&
        h(
          "p",
          { class: "hint" },
          "Browsers permit notifications over HTTPS and on localhost only.",
        ),
    );
  }

  _receipts() {
    const box = h("input", {
      type: "checkbox",
      ".checked": this._client.me.receipts !== false,
      onchange: async () => {
        try {
          const found = await this._client.api.post("/settings", { receipts: box.checked });
          box.checked = found.receipts;
        } catch (error) {
          box.checked = !box.checked;
          note(reasonOf(error));
        }
      },
    });
    return h(
      "section",
      { class: "section" },
      h("h3", {}, "Privacy"),
      h("label", { class: "choice" }, box, "Show others how far I have read private chats"),
    );
  }

  _device() {
    const place = h("div", { class: "device" });
    const button = h(
      "button",
      {
        type: "button",
        onclick: () => {
          const { token } = this._client.identity;
          const address = `${location.origin}/#sign-in=${token}`;
          fill(
            place,
            copyable("Token", token),
            qrFigure(address, "A QR code that signs you in"),
            h(
              "p",
              { class: "hint" },
              "Scan the code with the other device, or sign in there with the token. Whoever has it is you: show it to nobody.",
            ),
            isLoopback() &&
              h(
                "p",
                { class: "hint" },
                "This address works on this computer only. On another device open the server's own address and enter the token.",
              ),
          );
        },
      },
      "Show my token",
    );
    fill(place, button);
    return h("section", { class: "section" }, h("h3", {}, "Use another device"), place);
  }

  /** @param {() => void} close */
  _people(close) {
    const others = identities().filter((one) => one.user_id !== this._client.me.id);
    const list = h(
      "ul",
      { class: "plain-list" },
      others.map((one) =>
        h(
          "li",
          { class: "list-row" },
          avatar(one.user_id, one.name),
          h("bdi", { class: "grow" }, one.name),
          h(
            "button",
            {
              type: "button",
              "aria-label": `Continue as ${one.name}`,
              onclick: () => {
                use(one.user_id);
                close();
                this._app.restart();
              },
            },
            "Switch",
          ),
          h(
            "button",
            {
              type: "button",
              "aria-label": `Forget ${one.name}`,
              onclick: (/** @type {Event} */ event) => {
                forget(one.user_id);
                use(this._client.me.id);
                /** @type {HTMLElement} */ (event.currentTarget).closest("li")?.remove();
              },
            },
            "Forget",
          ),
        ),
      ),
    );
    return h(
      "section",
      { class: "section" },
      h("h3", {}, "Be somebody else too"),
      list,
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            close();
            this._app.addPerson();
          },
        },
        "Add a person",
      ),
    );
  }
}

function isLoopback() {
  return /^(?:localhost|127\.|\[::1\])/u.test(location.hostname);
}
