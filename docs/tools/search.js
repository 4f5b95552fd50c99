// In the search, a word that begins with "-" is one that a page must not have. So "--retries"
// would find every page but the right ones. The search gets the words without their dashes;
// what is typed stays as it is. A single letter ("-j") must be found as it is: other words
// match whatever begins with them.
(() => {
  const input = document.querySelector("input[name=query]");
  const { get, set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  Object.defineProperty(input, "value", {
    get() {
      return get.call(this)
        .replace(/(^|\s)-(\w)(?=\s|$)/g, "$1+$2")
        .replace(/(^|[\s"])-+(?=\w)/g, "$1");
    },
    set(text) {
      set.call(this, text);
    },
  });
  // The search has read the words of the page's address ("?q=--retries") before.
  input.dispatchEvent(new KeyboardEvent("keyup", { key: "Shift" }));
})();
