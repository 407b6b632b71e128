/** The panel beside the chat: its members, or the comments on a message. */

import { reasonOf } from "./api.js";
import { presenceOf } from "./actions.js";
import { copyable, fieldOf, formOf, note, qrFigure, showDialog } from "./dialogs.js";
import { avatar, fill, framed, h, icon, iconButton } from "./dom.js";
import { nodesOf } from "./message.js";
import { folded } from "./text.js";
import { clock, full, short } from "./when.js";

const SHOWN_PEOPLE = 30;

/**
 * @typedef {import("./types.js").Member} Member
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./client.js").View} View
 */

export class Panel {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this._app = app;
    this._client = app.client;
    this._title = h("h2", {});
    this._body = h("div", { class: "panel-body" });
    this.element = h(
      "aside",
      {
        class: "panel",
        hidden: true,
        "aria-label": "Details",
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Escape") this.hide();
        },
      },
      h(
        "header",
        { class: "panel-head" },
        this._title,
        iconButton("close", "Close panel", () => this.hide()),
      ),
      this._body,
    );
    /** @type {"" | "members" | "comments"} */
    this.kind = "";
    this._redraw = framed(() => this.kind === "members" && this._drawMembers());
    this._client.on("members", this._redraw);
    this._client.on("requests", () => this.kind === "members" && this._drawMembers());
    this._client.on("chats", this._redraw);
  }

  hide() {
    this.kind = "";
    this.element.hidden = true;
  }

  /** @param {string} title @param {"members" | "comments"} kind */
  _show(title, kind) {
    this.kind = kind;
    this._title.textContent = title;
    this.element.hidden = false;
    this._body.scrollTop = 0;
  }

  // Members.

  toggleMembers() {
    if (this.kind === "members") {
      this.hide();
      return;
    }
    const chat = this._app.chat;
    if (!chat) return;
    this._show("Members", "members");
    this._drawMembers();
    this._client.loadMembers(chat.state.id).catch((error) => note(reasonOf(error)));
  }

  _drawMembers() {
    const chat = this._app.chat;
    if (!chat) return;
    const members = [...(chat.members ?? [])].sort(
      (one, other) =>
        Number(other.online ?? false) - Number(one.online ?? false) ||
        one.name.localeCompare(other.name),
    );
    this._title.textContent = `Members · ${chat.size || members.length}`;
    const isOwner = this._client.isOwner(chat) && chat.state.kind === "group";
    const scroll = this._body.scrollTop;
    const requests =
      isOwner && chat.state.requests > 0 ? h("section", { class: "requests" }) : null;
    fill(
      this._body,
      isOwner &&
        h(
          "div",
          { class: "buttons start" },
          h(
            "button",
            { type: "button", onclick: () => this.addPeople(chat) },
            icon("plus"),
            "Add people",
          ),
          h(
            "button",
            { type: "button", onclick: () => this.links(chat) },
            icon("link"),
            "Invite link",
          ),
        ),
      requests,
      h(
        "ul",
        { class: "plain-list" },
        members.map((one) => h("li", {}, this._memberOf(one, chat))),
      ),
    );
    this._body.scrollTop = scroll;
    if (requests) void this._drawRequests(requests, chat);
  }

  /** @param {Member} member @param {View} chat */
  _memberOf(member, chat) {
    const standing = member.role && member.role !== "member" ? member.role : "";
    const role = member.id === chat.ownerId ? "owner" : standing;
    return h(
      "button",
      {
        type: "button",
        class: "member",
        onclick: () => this._app.actions.person(member, chat),
      },
      h(
        "span",
        { class: member.online ? "presence online" : "presence" },
        avatar(member.id, member.name),
      ),
      h(
        "span",
        { class: "grow" },
        h("bdi", {}, member.name),
        member.id === this._client.me.id && h("span", { class: "hint" }, " you"),
        h("span", { class: "hint block" }, [role, presenceOf(member)].filter(Boolean).join(" · ")),
      ),
    );
  }

  /** @param {HTMLElement} place @param {View} chat */
  async _drawRequests(place, chat) {
    const id = chat.state.id;
    const decide = async (/** @type {string} */ userId, /** @type {string} */ what) => {
      try {
        await this._client.api.post(`/chats/${id}/requests/${userId}/${what}`);
      } catch (error) {
        note(reasonOf(error));
      }
      await this._client.loadMembers(id).catch(() => {});
      chat.state.requests = Math.max(0, chat.state.requests - 1);
      this._client.emit("chats");
    };
    try {
      const { requests } = await this._client.api.get(`/chats/${id}/requests`);
      fill(
        place,
        h("h3", {}, "Waiting to join"),
        requests.map((/** @type {any} */ one) =>
          h(
            "div",
            { class: "list-row" },
            avatar(one.user.id, one.user.name),
            h("bdi", { class: "grow" }, one.user.name),
            h(
              "button",
              {
                type: "button",
                class: "primary",
                "aria-label": `Let ${one.user.name} in`,
                onclick: () => decide(one.user.id, "approve"),
              },
              "Let in",
            ),
            h(
              "button",
              {
                type: "button",
                "aria-label": `Turn ${one.user.name} away`,
                onclick: () => decide(one.user.id, "deny"),
              },
              "Deny",
            ),
          ),
        ),
      );
    } catch (error) {
      fill(place, h("p", { class: "reason" }, reasonOf(error)));
    }
  }

  /** Add people whom one shares the common chat with. @param {View} chat */
  addPeople(chat) {
    showDialog("Add people", () => {
      const list = h("ul", { class: "plain-list" });
      const common = this._client.chat(this._client.commonChat);
      const field = fieldOf({ name: "name", label: "Name" });
      const input = /** @type {HTMLInputElement} */ (field.querySelector("input"));
      const draw = () => {
        const members = new Set((chat.members ?? []).map((one) => one.id));
        const found = (common?.members ?? []).filter(
          (one) => !members.has(one.id) && folded(one.name).includes(folded(input.value)),
        );
        fill(
          list,
          found.length === 0 &&
            h("li", { class: "hint" }, "Nobody else is here. Send them an invite link."),
          found.slice(0, SHOWN_PEOPLE).map((one) =>
            h(
              "li",
              { class: "list-row" },
              avatar(one.id, one.name),
              h("bdi", { class: "grow" }, one.name),
              h(
                "button",
                {
                  type: "button",
                  "aria-label": `Add ${one.name}`,
                  onclick: async () => {
                    try {
                      await this._client.api.post(`/chats/${chat.state.id}/invite`, {
                        user_id: one.id,
                      });
                      await this._client.loadMembers(chat.state.id);
                    } catch (error) {
                      note(reasonOf(error));
                    }
                    draw();
                  },
                },
                "Add",
              ),
            ),
          ),
        );
      };
      input.addEventListener("input", draw);
      if (common) {
        this._client.loadMembers(common.state.id).then(draw, (error) => note(reasonOf(error)));
      }
      draw();
      return [field, list];
    });
  }

  /** Links by which strangers ask to join. @param {View} chat */
  links(chat) {
    showDialog("Invite link", () => {
      const made = h("div", {});
      const list = h("ul", { class: "plain-list" });
      const form = formOf(
        [
          {
            name: "expires",
            label: "Valid for",
            options: [
              ["3600", "1 hour"],
              ["86400", "1 day"],
              ["604800", "7 days"],
              ["2592000", "30 days"],
            ],
            value: "86400",
          },
          {
            name: "uses",
            label: "People",
            options: [
              ["", "Any number"],
              ["1", "1"],
              ["5", "5"],
              ["25", "25"],
            ],
          },
        ],
        "Make a link",
        async ({ expires, uses }) => {
          const found = await this._client.api.post(`/chats/${chat.state.id}/links`, {
            expires_in: Number(expires),
            max_uses: uses ? Number(uses) : null,
          });
          const address = `${location.origin}/join/${encodeURIComponent(found.link)}`;
          fill(
            made,
            copyable("Invite link", address),
            qrFigure(address, "The invite link as a QR code"),
            h(
              "p",
              { class: "hint" },
              `Shown once. Whoever opens it asks to join; you let them in. Expires ${full(found.expires_at)}.`,
            ),
          );
          void this._drawLinks(list, chat);
        },
      );
      void this._drawLinks(list, chat);
      return [form, made, h("h3", {}, "Live links"), list];
    });
  }

  /** @param {HTMLElement} list @param {View} chat */
  async _drawLinks(list, chat) {
    try {
      const { links } = await this._client.api.get(`/chats/${chat.state.id}/links`);
      fill(
        list,
        links.length === 0 && h("li", { class: "hint" }, "There are none."),
        links.map((/** @type {any} */ one) =>
          h(
            "li",
            { class: "list-row" },
            h(
              "span",
              { class: "grow" },
              `Used ${one.uses}${one.max_uses ? ` of ${one.max_uses}` : ""} · expires ${short(one.expires_at)} ${clock(one.expires_at)}`,
            ),
            h(
              "button",
              {
                type: "button",
                onclick: async () => {
                  await this._client.api
                    .delete(`/links/${encodeURIComponent(one.link_id)}`)
                    .catch((error) => note(reasonOf(error)));
                  void this._drawLinks(list, chat);
                },
              },
              "Revoke",
            ),
          ),
        ),
      );
    } catch (error) {
      fill(list, h("li", { class: "reason" }, reasonOf(error)));
    }
  }

  // Comments.

  /** @param {View} chat @param {Message} message */
  async showComments(chat, message) {
    this._show("Comments", "comments");
    const list = h("div", { class: "thread" }, h("p", { class: "hint" }, "Loading…"));
    fill(
      this._body,
      this._lineOf(chat, message),
      list,
      h(
        "button",
        {
          type: "button",
          class: "primary",
          onclick: () => this._app.composer.comment(message),
        },
        "Write a comment",
      ),
    );
    try {
      const { messages } = await this._client.api.get("/comments", {
        message_id: message.id,
        limit: 200,
      });
      fill(
        list,
        messages.map((/** @type {Message} */ one) => this._lineOf(chat, one)),
      );
    } catch (error) {
      fill(list, h("p", { class: "reason" }, reasonOf(error)));
    }
  }

  /** @param {View} chat @param {Message} message */
  _lineOf(chat, message) {
    return h(
      "div",
      { class: "line" },
      avatar(message.author.id, message.author.name),
      h(
        "div",
        { class: "grow" },
        h(
          "div",
          { class: "head" },
          h("bdi", { class: "author" }, message.author.name),
          h(
            "button",
            {
              type: "button",
              class: "link",
              onclick: () => void this._app.log.reveal(message.seq),
            },
            h("time", { datetime: message.created }, short(message.created)),
          ),
        ),
        message.deleted
          ? h("p", { class: "tombstone" }, "This message was deleted.")
          : h(
              "div",
              { class: "text" },
              nodesOf(message.text, {
                me: this._client.me.name,
                hasMentions: true,
              }),
            ),
        message.files.map((file) =>
          h("p", { class: "file-name" }, icon("file"), h("bdi", {}, file.name)),
        ),
      ),
    );
  }
}
