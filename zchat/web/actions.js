/** What one can do with a message or a person, and the bar that offers it. */

import { randomKey, reasonOf, Refused } from "./api.js";
import { askForm, confirmThat, note, showDialog, showPopover } from "./dialogs.js";
import { avatar, h, iconButton } from "./dom.js";
import { clock, full, madeAt, short } from "./when.js";

const EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀", "✅", "🔥", "👋", "💯"];
/** @type {[string, string][]} */
const BANS = [
  ["", "the usual time"],
  ["3600", "an hour"],
  ["86400", "a day"],
  ["604800", "a week"],
];
const UNDO_MILLISECONDS = 2500;
const STEPS = 20;

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./client.js").View} View
 */

export class Actions {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this._app = app;
    this._client = app.client;
    this._bar = h("div", {
      class: "actions",
      role: "toolbar",
      "aria-label": "Message actions",
    });
    /** @type {string | null} */
    this._on = null;
  }

  /** @param {Node} element */
  isOn(element) {
    return element.contains(this._bar);
  }

  /** Offer what may be done with a message, in its corner. @param {HTMLElement} article @param {View} chat @param {Message} message */
  show(article, chat, message) {
    const place = article.querySelector(".body");
    if (!place || (this._bar.parentElement === place && this._on === message.id)) return;
    if (message.deleted) {
      this._bar.remove();
      return;
    }
    this._on = message.id;
    const isOwn = message.author.id === this._client.me.id;
    const mayDelete =
      isOwn ||
      (chat.state.kind === "group" && this._client.isOwner(chat)) ||
      (chat.state.kind === "common" && this._client.isModerator);
    const isGrouped = article.parentElement?.classList.contains("grouped");
    this._bar.replaceChildren(
      ...[
        isGrouped && h("time", { datetime: message.created }, clock(message.created)),
        iconButton("smile", "React", (event) =>
          this.pick(/** @type {Element} */ (event.currentTarget), message),
        ),
        iconButton("reply", "Comment", () => this._app.composer.comment(message)),
        isOwn && iconButton("edit", "Edit", () => this._app.composer.edit(message)),
        !isOwn && iconButton("flag", "Report", () => this.report(message.author, message)),
        mayDelete &&
          iconButton("trash", "Delete", () => this.delete(chat, message), {
            class: "icon-button danger",
          }),
      ].filter((one) => one instanceof Node),
    );
    place.append(this._bar);
  }

  /** @param {Element} within */
  hide(within) {
    if (within.contains(this._bar)) this._bar.remove();
    this._on = null;
  }

  /** Choose an emoji for a message. @param {Element} beside @param {Message} message */
  pick(beside, message) {
    const choose = (/** @type {string} */ emoji) => {
      popover.hidePopover();
      const isOurs = message.reactions?.some(
        (one) => one.emoji === emoji && one.users.includes(this._client.me.id),
      );
      void this.react(message, emoji, !isOurs);
    };
    const other = h("input", {
      type: "text",
      maxlength: 32,
      "aria-label": "Another emoji",
      placeholder: "Another…",
      autocomplete: "off",
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        const emoji = other.value.trim();
        if (event.key === "Enter" && emoji) choose(emoji);
      },
    });
    const popover = showPopover(
      beside,
      "Choose a reaction",
      [
        h(
          "div",
          { class: "emoji-grid" },
          EMOJI.map((emoji) =>
            h("button", { type: "button", onclick: () => choose(emoji) }, emoji),
          ),
        ),
        other,
      ],
      "picker",
    );
  }

  /** @param {Message} message @param {string} emoji @param {boolean} on */
  async react(message, emoji, on) {
    try {
      if (on) {
        await this._client.api.post(`/messages/${message.id}/reactions`, {
          emoji,
        });
      } else {
        await this._client.api.delete(
          `/messages/${message.id}/reactions/${encodeURIComponent(emoji)}`,
        );
      }
    } catch (error) {
      note(reasonOf(error));
    }
  }

  /** Delete a message in a moment; until then it can be undone. @param {View} chat @param {Message} message */
  delete(chat, message) {
    const put = (/** @type {Message} */ state) => {
      chat.messages.bySeq.set(message.seq, state);
      this._client.emit("chat", chat.state.id);
    };
    put({
      ...message,
      deleted: new Date().toISOString(),
      text: "",
      files: [],
      reactions: [],
    });
    let isOver = false;
    const act = async () => {
      if (isOver) return;
      isOver = true;
      removeEventListener("pagehide", act);
      try {
        await this._client.api.delete(`/messages/${message.id}`);
      } catch (error) {
        put(message);
        note(`The message was not deleted. ${reasonOf(error)}`);
      }
    };
    addEventListener("pagehide", act);
    setTimeout(act, UNDO_MILLISECONDS);
    note(
      "Message deleted.",
      {
        label: "Undo",
        act: () => {
          if (isOver) {
            note("It is deleted already.");
            return;
          }
          isOver = true;
          put(message);
        },
      },
      UNDO_MILLISECONDS,
    );
  }

  /** @param {import("./types.js").Person} person @param {Message} [message] */
  report(person, message) {
    askForm(
      `Report ${person.name}`,
      [
        {
          name: "reason",
          label: "Reason",
          type: "textarea",
          maxlength: 500,
          required: true,
          hint: message
            ? "The message is kept as evidence. Who reported is not told."
            : "Who reported is not told.",
        },
      ],
      "Send report",
      async ({ reason }) => {
        await this._client.api.post("/report_user", {
          reported_user_id: person.id,
          reason,
          message_id: message?.id ?? null,
        });
        note(`Thank you. Your report about ${person.name} was sent.`);
      },
    );
  }

  /** Who somebody is, and what one can do with them. @param {import("./types.js").Person} person @param {View} chat */
  person(person, chat) {
    const member = chat.members?.find((one) => one.id === person.id);
    const isMe = person.id === this._client.me.id;
    const mayRemove = !isMe && chat.state.kind === "group" && this._client.isOwner(chat) && member;
    showDialog(person.name, (close) => [
      h(
        "div",
        { class: "person" },
        avatar(person.id, person.name),
        h(
          "div",
          {},
          h("p", { class: "person-state" }, presenceOf(member)),
          h("p", { class: "hint" }, "Id ", h("code", {}, person.id)),
        ),
      ),
      !isMe &&
        h(
          "div",
          { class: "buttons start" },
          h(
            "button",
            {
              type: "button",
              class: "primary",
              onclick: () => {
                close();
                void this.talkTo(person);
              },
            },
            "Private message",
          ),
          h(
            "button",
            {
              type: "button",
              onclick: () => {
                close();
                this.report(person);
              },
            },
            "Report",
          ),
          mayRemove &&
            h(
              "button",
              {
                type: "button",
                class: "danger",
                onclick: () => {
                  close();
                  this.remove(person, chat);
                },
              },
              "Remove from group",
            ),
          this._client.isModerator &&
            h(
              "button",
              {
                type: "button",
                class: "danger",
                onclick: () => {
                  close();
                  this.ban(person);
                },
              },
              "Ban",
            ),
          this._client.isModerator &&
            h(
              "button",
              {
                type: "button",
                onclick: () => {
                  close();
                  void this.unban(person);
                },
              },
              "Lift ban",
            ),
        ),
    ]);
  }

  /** Keep somebody from writing anywhere, for a time. @param {import("./types.js").Person} person */
  ban(person) {
    askForm(
      `Ban ${person.name}`,
      [
        {
          name: "reason",
          label: "Reason",
          type: "textarea",
          maxlength: 500,
          required: true,
          hint: "Operators can read it. A banned user reads, but writes nowhere.",
        },
        { name: "seconds", label: "For", options: BANS },
      ],
      "Ban",
      async ({ reason, seconds }) => {
        const { until } = await this._client.api.post(`/accounts/${person.id}/ban`, {
          reason,
          seconds: seconds ? Number(seconds) : null,
        });
        note(`${person.name} is banned until ${full(until)}.`);
      },
    );
  }

  /** @param {import("./types.js").Person} person */
  async unban(person) {
    try {
      await this._client.api.post(`/accounts/${person.id}/unban`);
      note(`${person.name} may write again.`);
    } catch (error) {
      note(reasonOf(error));
    }
  }

  /** @param {import("./types.js").Person} person */
  async talkTo(person) {
    try {
      const { chat_id } = await this._client.api.post("/connect_p2p", {
        other_user_id: person.id,
      });
      this._app.goTo(chat_id);
    } catch (error) {
      note(reasonOf(error));
    }
  }

  /** @param {import("./types.js").Person} person @param {View} chat */
  remove(person, chat) {
    confirmThat(
      `Remove ${person.name}?`,
      `${person.name} will no longer get messages of this group.`,
      "Remove",
      async () => {
        await this._client.api.post(`/chats/${chat.state.id}/remove`, {
          user_id: person.id,
        });
        await this._client.loadMembers(chat.state.id);
      },
    );
  }

  /** The comments on a message. @param {View} chat @param {Message} message */
  comments(chat, message) {
    return this._app.panel.showComments(chat, message);
  }

  /**
   * Go to the message that a comment is on. Only its id is known; as the id
   * says when it was made, the place is found by halving.
   * @param {View} chat @param {string} id @param {Message} comment
   */
  async showMessage(chat, id, comment) {
    const known = chat.messages.byId(id) ?? (await this._find(chat, id, comment));
    if (known) await this._app.log.reveal(known.seq);
    else note("That message cannot be seen any more.");
  }

  /** @param {View} chat @param {string} id @param {Message} comment */
  async _find(chat, id, comment) {
    const wanted = madeAt(id);
    let [low, high] = [chat.messages.first, comment.seq];
    try {
      for (let step = 0; step < STEPS && low < high; step += 1) {
        const middle = Math.floor((low + high) / 2);
        const page = await this._client.api.get("/history", {
          chat_id: chat.state.id,
          around: middle,
          limit: 50,
        });
        chat.messages.addPage(page, {});
        const found = chat.messages.byId(id);
        if (found || page.messages.length === 0) return found;
        if (madeAt(page.messages[0].id) > wanted) high = page.messages[0].seq;
        else low = page.messages.at(-1).seq + 1;
      }
    } catch (error) {
      note(reasonOf(error));
    }
    return undefined;
  }

  /** @param {string} link As it stands in an address. */
  async join(link) {
    try {
      const joined = await this._client.api.post(`/join/${link}`);
      if (joined.state === "member") this._app.goTo(joined.chat_id);
      else {
        note(
          "The owner has to let you in. You will see the group here as soon as they do.",
          undefined,
          10_000,
        );
      }
    } catch (error) {
      const isOld = error instanceof Refused && error.status === 404;
      note(
        isOld ? "This link is invalid or has expired. Ask for a new one." : reasonOf(error),
        undefined,
        10_000,
      );
    }
  }

  newGroup() {
    askForm(
      "New group",
      [{ name: "name", label: "Group name", required: true, maxlength: 64 }],
      "Create group",
      async ({ name }) => {
        const { chat_id } = await this._client.api.post("/chats", {
          name: name.trim(),
        });
        this._app.goTo(chat_id);
      },
    );
  }

  /** @param {View} chat */
  rename(chat) {
    askForm(
      "Rename group",
      [
        {
          name: "name",
          label: "Group name",
          required: true,
          maxlength: 64,
          value: chat.state.name,
        },
      ],
      "Rename",
      ({ name }) =>
        this._client.api.post(`/chats/${chat.state.id}/rename`, {
          name: name.trim(),
        }),
    );
  }

  /** @param {View} chat */
  leave(chat) {
    const back =
      chat.state.kind === "group"
        ? "You can come back by invitation only."
        : "You can come back later.";
    confirmThat(`Leave ${chat.state.title}?`, back, "Leave", async () => {
      await this._client.api.post("/chats/exit", { chat_id: chat.state.id });
      this._app.goTo(null);
    });
  }

  /** Send a message at a later time. @param {View} chat @param {{ text: string, commentOn: string | null, files: string[] }} draft */
  async schedule(chat, draft, /** @type {string} */ sendAt) {
    await this._client.api.post("/scheduled", {
      chat_id: chat.state.id,
      message: draft.text,
      comment_on: draft.commentOn,
      files: draft.files.length ? draft.files : null,
      send_at: new Date(sendAt).toISOString(),
      idempotency_key: randomKey(),
    });
  }
}

/** @param {import("./types.js").Member | undefined} member */
export function presenceOf(member) {
  if (!member) return "";
  if (member.online) return "Online";
  return member.last_seen ? `Last seen ${short(member.last_seen)}` : "Offline";
}
