/** The first page: choose a name, or come back with a token. */

import { Api, reasonOf, Refused } from "./api.js";
import { fieldOf, formOf } from "./dialogs.js";
import { avatar, h } from "./dom.js";
import { identities, keep, use } from "./identities.js";

/** @typedef {import("./identities.js").Identity} Identity */

/**
 * @param {{
 *   token?: string, isInvited?: boolean, left?: Identity | null,
 *   done: () => void, cancel?: () => void,
 * }} options `token`: one that an address brought; `left`: who just signed out.
 */
export function welcome({ token = "", isInvited = false, left = null, done, cancel }) {
  const known = identities();
  const extra = h(
    "div",
    { hidden: true },
    fieldOf({
      name: "invite",
      label: "Invite code",
      hint: "This server admits people who have a code.",
    }),
  );
  const start = formOf(
    [
      {
        name: "name",
        label: "Your name",
        maxlength: 32,
        autocomplete: "nickname",
      },
    ],
    "Start chatting",
    async ({ name }) => {
      const invite = /** @type {HTMLInputElement} */ (extra.querySelector("input")).value.trim();
      try {
        await begin({
          ...(name.trim() && { name: name.trim() }),
          ...(invite && { invite }),
        });
      } catch (error) {
        if (needsInvite(error)) extra.hidden = false;
        throw error;
      }
      done();
    },
  );
  start.querySelector(".field")?.after(extra);
  const back = h(
    "details",
    { class: "come-back", open: token !== "" },
    h("summary", {}, "I have a token from another device"),
    formOf(
      [{ name: "token", label: "Token", value: token, required: true }],
      "Sign in",
      async (values) => {
        await signIn(values.token.trim());
        done();
      },
    ),
  );
  return h(
    "main",
    { class: "welcome" },
    h(
      "div",
      { class: "welcome-card" },
      h("h1", {}, "zchat"),
      h(
        "p",
        { class: "lead" },
        isInvited
          ? "You are invited to a group. Choose a name first."
          : "Choose a name and talk. Nothing else is needed.",
      ),
      left &&
        h(
          "div",
          { class: "left-note" },
          h(
            "p",
            {},
            "You signed out as ",
            h("bdi", {}, left.name),
            ". This browser has forgotten the token.",
          ),
          h(
            "button",
            {
              type: "button",
              onclick: () => {
                keep(left);
                done();
              },
            },
            "Undo",
          ),
        ),
      start,
      known.length > 0 &&
        h(
          "section",
          { class: "known" },
          h("h2", {}, "Or continue as"),
          h(
            "div",
            { class: "known-list" },
            known.map((one) =>
              h(
                "button",
                {
                  type: "button",
                  class: "known-person",
                  onclick: () => {
                    use(one.user_id);
                    done();
                  },
                },
                avatar(one.user_id, one.name),
                h("bdi", {}, one.name),
              ),
            ),
          ),
        ),
      back,
      cancel && h("button", { type: "button", class: "link", onclick: cancel }, "Back"),
    ),
  );
}

/** @param {Record<string, string>} params */
async function begin(params) {
  const found = await new Api(null).post("/connect", params);
  keep({ token: found.token, user_id: found.user_id, name: found.name });
}

/** @param {string} token */
async function signIn(token) {
  const { user } = await new Api(token).get("/status");
  keep({ token, user_id: user.id, name: user.name });
}

/** @param {unknown} error */
function needsInvite(error) {
  return (
    error instanceof Refused &&
    (error.data.field === "invite" || (error.status === 403 && /invite/iu.test(reasonOf(error))))
  );
}
