// What is checked in the page's modules, beside their types.

import js from "@eslint/js";
import globals from "globals";

const MARKUP = [
  "innerHTML",
  "outerHTML",
  "insertAdjacentHTML",
  "srcdoc",
  "DOMParser",
  "setHTMLUnsafe",
  "createContextualFragment",
];

export default [
  {
    ignores: [
      "*",
      "!zchat",
      "zchat/*",
      "!zchat/web",
      "!tests",
      "tests/*",
      "!tests/web",
      "!eslint.config.js",
    ],
  },
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: {
      complexity: ["error", 16],
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 600],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-syntax": [
        "error",
        ...MARKUP.map((name) => ({
          selector: `Identifier[name="${name}"]`,
          message: "Text must not become markup; make elements with dom.js.",
        })),
      ],
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["tests/web/*.js", "eslint.config.js"],
    languageOptions: { globals: globals.node },
  },
];
