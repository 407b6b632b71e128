/** Where one writes: text, files, comments, edits, mentions, sending later. */

import { reasonOf } from "./api.js";
import { formOf, note, showDialog } from "./dialogs.js";
import { avatar, fill, freshId, h, icon, iconButton } from "./dom.js";
import { sizeText } from "./message.js";
import { excerpt, folded } from "./text.js";
import { clock, full, until } from "./when.js";

const MOST_FILES = 10;
const MOST_SUGGESTIONS = 6;

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./client.js").View} View
 * @typedef {{ file: File, element: HTMLElement, id: string | null, failed: boolean, abort: AbortController }} Upload
 */

export class Composer {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this._app = app;
    this._client = app.client;
    /** @type {View | null} */
    this.chat = null;
    /** @type {Map<string, string>} */
    this._drafts = new Map();
    /** @type {Message | null} */
    this._editing = null;
    /** @type {Message | null} */
    this._comment = null;
    /** @type {Upload[]} */
    this._uploads = [];
    this._chosen = 0;
    this._sendAtOpen = false;
    const listId = freshId();
    this.input = h("textarea", {
      rows: 1,
      "aria-label": "Message",
      dir: "auto",
      autocomplete: "off",
      enterkeyhint: "send",
      role: "textbox",
      "aria-autocomplete": "list",
      "aria-controls": listId,
      "aria-multiline": "true",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this._key(event),
      oninput: () => this._typed(),
      onpaste: (/** @type {ClipboardEvent} */ event) => this._paste(event),
    });
    this._suggestions = h("div", {
      class: "suggestions",
      role: "listbox",
      id: listId,
      "aria-label": "People",
      hidden: true,
    });
    this._mode = h("div", { class: "mode", hidden: true });
    this._chips = h("div", { class: "uploads", hidden: true });
    this._alert = h("p", { class: "reason", role: "alert" });
    this._standing = h("p", { class: "standing" });
    this._typing = h("p", { class: "typing" });
    this._picker = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      tabindex: "-1",
      "aria-label": "Files to attach",
      onchange: () => {
        this.attach([...(this._picker.files ?? [])]);
        this._picker.value = "";
      },
    });
    this._send = iconButton("send", "Send", () => void this.send(), {
      class: "icon-button send",
    });
    this.element = h(
      "div",
      { class: "composer" },
      this._typing,
      this._alert,
      this._standing,
      this._mode,
      this._chips,
      this._suggestions,
      h(
        "div",
        { class: "composer-row" },
        iconButton("attach", "Attach files", () => this._picker.click()),
        this._picker,
        this.input,
        iconButton("clock", "Send later", () => this._later()),
        this._send,
      ),
    );
    this._clock = setInterval(() => this._showStanding(), 15_000);
    this._client.on("me", () => this._showStanding());
    this._client.on("trouble", (error) => this.complain(error));
    this._client.on("typing", () => this._showTyping());
  }

  close() {
    clearInterval(this._clock);
  }

  /** @param {View | null} chat */
  open(chat) {
    if (this.chat && !this._editing) {
      this._drafts.set(this.chat.state.id, this.input.value);
    }
    this._dropUploads();
    this._editing = this._comment = null;
    // What was typed before the first chat came is kept, and sent if asked.
    const typed = this.chat === null ? this.input.value : "";
    this.chat = chat;
    this.input.value = (chat && this._drafts.get(chat.state.id)) ?? typed;
    this.input.placeholder = chat ? `Message ${chat.state.title}` : "";
    this._alert.textContent = "";
    this._showMode();
    this._fit();
    this._suggest();
    this._showStanding();
    this._showTyping();
    if (chat && this._sendAtOpen) void this.send();
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }

  /** @param {unknown} error */
  complain(error) {
    this._alert.textContent = reasonOf(error);
  }

  /** @param {Message} message */
  comment(message) {
    if (this._editing) this._stopEditing();
    this._comment = message;
    this._showMode();
    this.focus();
  }

  /** @param {Message} message */
  edit(message) {
    if (this.chat && !this._editing) {
      this._drafts.set(this.chat.state.id, this.input.value);
    }
    this._comment = null;
    this._editing = message;
    this.input.value = message.text;
    this._showMode();
    this._fit();
    this.focus();
    this.input.setSelectionRange(message.text.length, message.text.length);
  }

  _stopEditing() {
    this._editing = null;
    this.input.value = (this.chat && this._drafts.get(this.chat.state.id)) ?? "";
    this._showMode();
    this._fit();
  }

  _showMode() {
    const message = this._editing ?? this._comment;
    this._mode.hidden = !message;
    if (!message) return;
    const words = this._editing ? "Editing your message" : `Commenting on ${message.author.name}`;
    fill(
      this._mode,
      icon(this._editing ? "edit" : "reply"),
      h(
        "div",
        { class: "mode-text" },
        h("strong", {}, words),
        h("span", { dir: "auto" }, excerpt(message.text, 100)),
      ),
      iconButton("close", "Cancel", () => this._cancel()),
    );
  }

  _cancel() {
    if (this._editing) this._stopEditing();
    this._comment = null;
    this._alert.textContent = "";
    this._showMode();
    this.focus();
  }

  // Keys and typing.

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.isComposing) return;
    if (!this._suggestions.hidden && this._suggestionKey(event)) {
      event.preventDefault();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      void this.send();
    } else if (event.key === "Escape" && (this._editing || this._comment)) {
      this._cancel();
    } else if (event.key === "ArrowUp" && this.input.value === "" && !this._editing) {
      const last = this._app.log.lastOwn();
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  }

  _typed() {
    this._fit();
    this._suggest();
    this._alert.textContent = "";
    if (this.chat && this.input.value && !this._editing) {
      this._client.typed(this.chat.state.id);
    }
  }

  /** Be as high as the text, where CSS alone cannot. */
  _fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 200)}px`;
  }

  // Mentions.

  _suggest() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    const begun = /(?:^|[\s(])@([\p{L}\p{M}\p{N}_.-]{0,32})$/u.exec(before)?.[1];
    const wanted = begun === undefined ? null : folded(begun);
    const members = wanted === null ? [] : (this.chat?.members ?? []);
    // A name that is complete asks for nothing: Enter sends then.
    const isWhole = members.some((one) => folded(one.name) === wanted);
    const found = members
      .filter((one) => one.id !== this._client.me.id && folded(one.name).startsWith(wanted ?? ""))
      .slice(0, isWhole ? 0 : MOST_SUGGESTIONS);
    this._suggestions.hidden = found.length === 0;
    this._chosen = 0;
    fill(
      this._suggestions,
      found.map((one) =>
        h(
          "div",
          {
            role: "option",
            id: freshId(),
            class: "suggestion",
            "data-name": one.name,
            onpointerdown: (/** @type {Event} */ event) => {
              event.preventDefault();
              this._complete(one.name);
            },
          },
          avatar(one.id, one.name),
          h("bdi", {}, one.name),
        ),
      ),
    );
    this._mark();
  }

  _mark() {
    const options = [...this._suggestions.children];
    options.forEach((one, index) =>
      one.setAttribute("aria-selected", String(index === this._chosen)),
    );
    const chosen = this._suggestions.hidden ? null : options[this._chosen];
    if (chosen) this.input.setAttribute("aria-activedescendant", chosen.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  /** Whether the key was meant for the list. @param {KeyboardEvent} event */
  _suggestionKey(event) {
    const count = this._suggestions.childElementCount;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this._chosen = (this._chosen + step + count) % count;
      this._mark();
    } else if (event.key === "Enter" || event.key === "Tab") {
      const chosen = /** @type {HTMLElement} */ (this._suggestions.children[this._chosen]);
      this._complete(chosen.dataset.name ?? "");
    } else if (event.key === "Escape") {
      this._suggestions.hidden = true;
      this._mark();
    } else {
      return false;
    }
    return true;
  }

  /** @param {string} name */
  _complete(name) {
    const at = this.input.selectionStart;
    const before = this.input.value.slice(0, at).replace(/@[^@\s]*$/u, `@${name} `);
    this.input.value = before + this.input.value.slice(at);
    this.input.setSelectionRange(before.length, before.length);
    this._suggest();
  }

  // Files.

  /** @param {ClipboardEvent} event */
  _paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.attach(files);
  }

  /** @param {File[]} files */
  attach(files) {
    if (!this.chat || this._editing) return;
    for (const file of files) {
      if (this._uploads.length >= MOST_FILES) {
        this.complain(new Error(`A message carries ${MOST_FILES} files at most.`));
        break;
      }
      void this._upload(file, this.chat.state.id);
    }
    this.focus();
  }

  /** @param {File} file @param {string} chatId */
  async _upload(file, chatId) {
    const bar = h("progress", {
      max: 1,
      value: 0,
      "aria-label": `Uploading ${file.name}`,
    });
    const state = h("span", { class: "upload-state" }, sizeText(file.size));
    /** @type {Upload} */
    const upload = {
      file,
      id: null,
      failed: false,
      abort: new AbortController(),
      element: h(
        "div",
        { class: "upload" },
        icon("file"),
        h("bdi", { class: "file-title" }, file.name),
        state,
        bar,
        iconButton("close", `Remove ${file.name}`, () => this._dropUpload(upload)),
      ),
    };
    this._uploads.push(upload);
    this._chips.append(upload.element);
    this._chips.hidden = false;
    try {
      const done = await this._client.api.upload(
        chatId,
        file,
        (share) => {
          bar.value = share;
        },
        upload.abort.signal,
      );
      upload.id = done.file_id;
      bar.remove();
    } catch (error) {
      upload.failed = true;
      bar.remove();
      state.textContent = reasonOf(error);
      upload.element.classList.add("failed");
      upload.element.setAttribute("role", "alert");
    }
    upload.element.dispatchEvent(new Event("settled"));
  }

  /** @param {Upload} upload */
  _dropUpload(upload) {
    upload.abort.abort();
    upload.element.remove();
    this._uploads = this._uploads.filter((one) => one !== upload);
    this._chips.hidden = this._uploads.length === 0;
  }

  _dropUploads() {
    for (const upload of this._uploads) this._dropUpload(upload);
  }

  /** Wait for what is still being uploaded; the files, or null if one failed. */
  async _settled() {
    const waiting = this._uploads.filter((one) => !one.id && !one.failed);
    await Promise.all(
      waiting.map(
        (one) =>
          new Promise((resolve) =>
            one.element.addEventListener("settled", resolve, { once: true }),
          ),
      ),
    );
    if (this._uploads.some((one) => one.failed)) return null;
    return this._uploads.map((one) => ({
      file_id: one.id ?? "",
      name: one.file.name,
      size: one.file.size,
      type: one.file.type,
    }));
  }

  // Sending.

  async send() {
    const chat = this.chat;
    const text = this.input.value.trim();
    this._sendAtOpen = chat === null;
    if (!chat || this._isBanned()) return;
    if (this._editing) {
      await this._saveEdit(this._editing, text);
      return;
    }
    if (text === "" && this._uploads.length === 0) return;
    const files = await this._settled();
    if (this.chat !== chat) return;
    if (!files) {
      this.complain(new Error("A file could not be uploaded. Remove it or try again."));
      return;
    }
    const commentOn = this._comment?.id ?? null;
    this._reset();
    this._client.queue.add(chat.state.id, text, commentOn, files);
  }

  _reset() {
    this._comment = null;
    this.input.value = "";
    this._alert.textContent = "";
    if (this.chat) this._drafts.delete(this.chat.state.id);
    for (const upload of [...this._uploads]) this._dropUpload(upload);
    this._showMode();
    this._fit();
    this._suggest();
    if (this.chat) this.chat.typedAt = 0;
  }

  /** @param {Message} message @param {string} text */
  async _saveEdit(message, text) {
    if (text === message.text) {
      this._stopEditing();
      return;
    }
    try {
      await this._client.api.post(`/messages/${message.id}/edit`, { text });
      if (this._editing === message) this._stopEditing();
    } catch (error) {
      this.complain(error);
    }
  }

  _later() {
    const chat = this.chat;
    if (!chat) return;
    showDialog("Send later", (close) => {
      const list = h("ul", { class: "plain-list" });
      const soon = new Date(Date.now() + 3_600_000 - new Date().getTimezoneOffset() * 60_000);
      const form = formOf(
        [
          {
            name: "text",
            label: "Text",
            type: "textarea",
            value: this.input.value,
          },
          {
            name: "at",
            label: "When",
            type: "datetime-local",
            value: soon.toISOString().slice(0, 16),
            required: true,
          },
        ],
        "Schedule",
        async ({ text, at }) => {
          const files = await this._settled();
          if (!files) {
            throw new Error("A file could not be uploaded. Remove it or try again.");
          }
          if (!text.trim() && files.length === 0) {
            throw new Error("Write a text first.");
          }
          await this._app.actions.schedule(
            chat,
            {
              text: text.trim(),
              commentOn: this._comment?.id ?? null,
              files: files.map((one) => one.file_id),
            },
            at,
          );
          this._reset();
          note(`It will be sent ${full(new Date(at).toISOString())}.`);
          close();
        },
      );
      void this._listScheduled(list);
      return [form, h("h3", {}, "Waiting"), list];
    });
  }

  /** @param {HTMLElement} list */
  async _listScheduled(list) {
    try {
      const { messages } = await this._client.api.get("/scheduled", {
        state: "pending",
      });
      fill(
        list,
        messages.length === 0 && h("li", { class: "hint" }, "Nothing is waiting."),
        messages.map((/** @type {any} */ one) =>
          h(
            "li",
            { class: "list-row" },
            h(
              "div",
              { class: "grow" },
              h("p", { dir: "auto" }, excerpt(one.text, 120)),
              h(
                "p",
                { class: "hint" },
                `${this._client.chat(one.chat_id)?.state.title ?? ""} · ${full(one.send_at)}`,
              ),
            ),
            h(
              "button",
              {
                type: "button",
                onclick: async () => {
                  try {
                    await this._client.api.delete(`/scheduled/${one.id}`);
                  } catch (error) {
                    note(reasonOf(error));
                  }
                  void this._listScheduled(list);
                },
              },
              "Cancel",
            ),
          ),
        ),
      );
    } catch (error) {
      fill(list, h("li", { class: "reason" }, reasonOf(error)));
    }
  }

  // How one stands: banned, the quota, who is typing.

  _isBanned() {
    const end = this._client.me.banned_until;
    return Boolean(end && new Date(end).getTime() > Date.now());
  }

  _showStanding() {
    const { banned_until, quota } = this._client.me;
    const isBanned = this._isBanned();
    this.input.disabled = isBanned;
    this._send.disabled = isBanned;
    this._standing.className = isBanned ? "standing banned" : "standing";
    if (isBanned && banned_until) {
      this._standing.textContent = `You are banned until ${clock(banned_until)} (${until(banned_until)}). You can still read.`;
    } else if (quota && this.chat?.state.kind === "common") {
      const end = quota.resets_at ? `; the count starts again in ${until(quota.resets_at)}` : "";
      this._standing.textContent = `${quota.remaining} of ${quota.limit} messages left${end}.`;
    } else {
      this._standing.textContent = "";
    }
  }

  _showTyping() {
    const names = [...(this.chat?.typing.values() ?? [])].map((one) => one.name);
    const some = names.slice(0, 2).join(" and ");
    this._typing.textContent =
      names.length === 0
        ? ""
        : names.length > 2
          ? "Several people are typing…"
          : `${some} ${names.length === 1 ? "is" : "are"} typing…`;
  }
}
