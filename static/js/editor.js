/* The editor of rules. The text area stays what is edited and sent; a layer of ink under it shows line numbers, colours and marks.
   The server says what is wrong (nothing is judged here), and offers the keys behind "$ref{". Every word comes from a template. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const PAUSE = 350; // ms of quiet before a text is checked
  const TOKENS = /(?<comment>(?<=^|\s)#.*$)|(?<ref>(?<!\$)\$ref\{[^}]*\}?)|(?<name>(?<=^\s*(?:- +)*)[\w.-]+(?=:(?:\s|$)))/g;
  const FIELD = /^( *)((?:-(?: +|$))*)(?:["']?([\w.-]+)["']?:(?=\s|$))?/;
  const LONG = 2000; // characters of a line; longer ones are drawn without colours
  const fetched = async (url, options) => {
    const answer = await fetch(url, { redirect: "error", ...options });
    if (!answer.ok) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  class Editor {
    constructor(root) {
      this.root = root; this.area = $("textarea", root); this.paper = $(".paper", root); this.said = $("[role=status]", root); this.pen = $("[data-pen]", root);
      this.box = $(".listbox", root); this.list = $("[role=listbox]", root); this.at = -1; this.lines = []; this.sent = false;
      this.ink = document.createElement("div");
      this.ink.className = "ink"; this.ink.ariaHidden = "true";
      this.paper.prepend(this.ink);
      root.classList.add("live");
      for (const [name, value] of Object.entries({ "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": this.list.id })) this.area.setAttribute(name, value);
      this.area.addEventListener("input", () => { this.draw(); this.suggest(); this.checkSoon(); });
      this.area.addEventListener("keydown", (e) => this.key(e));
      this.area.addEventListener("blur", () => this.close());
      document.addEventListener("selectionchange", () => document.activeElement === this.area && this.moved());
      this.box.addEventListener("pointerdown", (e) => e.preventDefault()); // the focus stays in the text
      this.list.addEventListener("click", (e) => this.pick(e.target.closest("[role=option]")));
      this.area.form.addEventListener("submit", () => (this.sent = true));
      addEventListener("click", (e) => this.click(e));
      addEventListener("resize", () => this.isOpen && this.put());
      addEventListener("pageshow", () => { this.sent = false; this.draw(); }); // also when Back brings the page again, as it was left
      addEventListener("beforeunload", (e) => { if (this.unsaved) e.preventDefault(); });
      this.draw(); this.mark();
      if (root.dataset.at && !$(".errors")) this.go(root.dataset.at);
    }
    get unsaved() { return !this.sent && this.area.isConnected && ("unsaved" in this.root.dataset || this.area.value !== this.area.defaultValue); }

    /* ── Ink: only lines that changed are drawn again ── */
    draw() {
      const lines = this.area.value.split("\n"), old = this.lines;
      let head = 0, tail = 0;
      while (head < lines.length && head < old.length && lines[head] === old[head]) head++;
      while (tail < lines.length - head && tail < old.length - head && lines[lines.length - 1 - tail] === old[old.length - 1 - tail]) tail++;
      $$(":scope > div", this.ink).slice(head, old.length - tail).forEach((line) => line.remove());
      const before = this.ink.children[head] || null;
      for (const text of lines.slice(head, lines.length - tail)) this.ink.insertBefore(this.drawn(text), before);
      this.lines = lines;
    }
    drawn(text) {
      const line = document.createElement("div");
      let at = 0;
      for (const found of text.length > LONG ? [] : text.matchAll(TOKENS)) {
        const token = document.createElement("span");
        token.className = `ink-${Object.keys(found.groups).find((name) => found.groups[name] !== undefined)}`;
        token.textContent = found[0];
        line.append(text.slice(at, found.index), token);
        at = found.index + found[0].length;
      }
      line.append(text.slice(at));
      return line;
    }

    /* ── Places: "line:column", both from 1, columns in characters ── */
    place(at) {
      const [number, column] = at.split(":").map(Number), line = Math.min(number, this.lines.length) - 1;
      const text = this.lines[line], start = [...text].slice(0, column - 1).join("").length;
      const token = /^(\$ref\{[^}]*\}?|"[^"]*"?|'[^']*'?|[\w.$-]+|\S+)?/.exec(text.slice(start))[0];
      return { line, start, end: start + token.length, offset: this.lines.slice(0, line).reduce((sum, one) => sum + one.length + 1, 0) };
    }
    go(at) {
      const { line, start, end, offset } = this.place(at);
      this.area.focus({ preventScroll: true });
      this.area.setSelectionRange(offset + start, offset + end);
      this.ink.children[line].scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    range(line, start, end) {
      const range = new Range(), walk = document.createTreeWalker(this.ink.children[line], NodeFilter.SHOW_TEXT);
      let passed = 0, begun = false;
      for (let node = walk.nextNode(); node; passed += node.length, node = walk.nextNode()) {
        if (!begun && start <= passed + node.length) { range.setStart(node, start - passed); begun = true; }
        if (begun && end <= passed + node.length) { range.setEnd(node, end - passed); return range; }
      }
      range.selectNodeContents(this.ink.children[line]);
      return range;
    }
    mark() {
      const faults = $$("#problems [data-at]").map((fault) => this.place(fault.dataset.at));
      [...this.ink.children].forEach((line) => line.classList.remove("bad"));
      faults.forEach(({ line }) => this.ink.children[line].classList.add("bad"));
      if (faults.length) this.area.setAttribute("aria-invalid", "true");
      else this.area.removeAttribute("aria-invalid");
      if (typeof Highlight === "undefined") return; // the line's own mark is there without it
      CSS.highlights.set("fault", new Highlight(...faults.map(({ line, start, end }) => this.range(line, start, end))));
    }

    /* ── The check: what the server says of the text as it stands ── */
    checkSoon() { clearTimeout(this.pause); this.pause = setTimeout(() => this.check(), PAUSE); }
    async check() {
      if (this.isOpen) return this.checkSoon(); // a reference that is being chosen is not finished yet
      this.checking?.abort();
      const { signal } = (this.checking = new AbortController()), { form } = this.area;
      const body = new URLSearchParams({ text: this.area.value, csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
      try {
        const answer = await fetched(this.root.dataset.check, { method: "POST", body, signal });
        for (const id of ["problems", "uses"]) document.getElementById(id).replaceChildren(...document.importNode($(`#${id}`, answer), true).childNodes);
      } catch {
        if (signal.aborted) return; // a newer check is under way
        $("#problems").replaceChildren($("[data-unchecked]", this.root).content.cloneNode(true));
      }
      this.mark();
      this.say($("#problems [data-said]").dataset.said);
    }
    say(text) { if (this.said.textContent !== text) this.said.textContent = text; }

    /* ── Keys behind "$ref{" (WAI-ARIA APG: list autocomplete, here in a text area) ── */
    get options() { return $$("[role=option]", this.list); }
    get isOpen() { return !this.box.hidden; }
    typed() {
      const { selectionStart: at, selectionEnd: end, value } = this.area;
      const found = at === end && /(?:^|[^$])\$ref\{(\w*)$/.exec(value.slice(value.lastIndexOf("\n", at - 1) + 1, at));
      return found ? found[1] : null;
    }
    async suggest() {
      this.asking?.abort();
      const typed = this.typed();
      if (typed === null) return this.close();
      const { signal } = (this.asking = new AbortController());
      let chosen = "";
      try {
        const answer = await fetched(`${this.root.dataset.options}&q=${encodeURIComponent(typed)}`, { signal });
        chosen = this.isOpen && this.options[this.at]?.id; // somebody may have moved on in the list before this answer came
        this.list.replaceChildren(...document.importNode(answer.body, true).children);
      } catch { return signal.aborted || this.close(); }
      if (this.typed() === typed && document.activeElement === this.area) this.open(chosen);
    }
    open(chosen) {
      const usable = this.options.filter((option) => option.ariaDisabled !== "true"), n = usable.length, { none, one, many } = this.root.dataset;
      $(".listbox-none", this.box).hidden = this.options.length > 0;
      this.box.hidden = false;
      this.put();
      this.choose(this.options.indexOf(this.options.find((option) => option.id === chosen) || usable[0]));
      this.say(n === 0 ? none : n === 1 ? one : many.replace("#", n));
    }
    put() {
      const before = this.area.value.slice(0, this.area.selectionStart), line = before.split("\n").length - 1;
      const column = before.length - before.lastIndexOf("\n") - 1, caret = this.range(line, column, column).getBoundingClientRect(), root = this.root.getBoundingClientRect();
      const left = Math.max(0, Math.min(caret.left - root.left, root.width - this.box.offsetWidth));
      this.box.style.insetInlineStart = `${left}px`;
      this.box.style.insetBlockStart = `${(caret.bottom || this.ink.children[line].getBoundingClientRect().bottom) - root.top + 4}px`;
      this.box.scrollIntoView({ block: "nearest" });
    }
    close() { this.asking?.abort(); this.box.hidden = true; this.choose(-1); }
    choose(at) {
      this.at = at;
      this.options.forEach((option, n) => option.setAttribute("aria-selected", n === at));
      if (at < 0) return this.area.removeAttribute("aria-activedescendant");
      this.area.setAttribute("aria-activedescendant", this.options[at].id);
      this.options[at].scrollIntoView({ block: "nearest" });
    }
    pick(option) {
      const typed = this.typed();
      if (!option || option.ariaDisabled === "true" || typed === null) return;
      const at = this.area.selectionStart, rest = /^\w*\}?/.exec(this.area.value.slice(at))[0];
      this.write(at - typed.length, at + rest.length, `${option.dataset.value}}`);
      this.close();
    }
    write(start, end, text) {
      this.area.focus();
      this.area.setSelectionRange(start, end);
      if (document.execCommand("insertText", false, text)) return; // keeps what undo can undo
      this.area.setRangeText(text, start, end, "end");
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    key(e) {
      if (e.isComposing) return;
      const n = this.options.length, plain = !(e.shiftKey || e.ctrlKey || e.altKey || e.metaKey);
      if (e.key === " " && e.ctrlKey) { e.preventDefault(); this.suggest(); }
      else if (this.isOpen && e.key === "Escape") { e.preventDefault(); this.close(); }
      else if (this.isOpen && n && plain && (e.key === "ArrowDown" || e.key === "ArrowUp")) { e.preventDefault(); this.choose((Math.max(this.at, e.key === "ArrowDown" ? -1 : 0) + (e.key === "ArrowDown" ? 1 : n - 1)) % n); }
      else if (this.isOpen && this.at >= 0 && plain && (e.key === "Enter" || e.key === "Tab")) { e.preventDefault(); this.pick(this.options[this.at]); }
      else if (e.key === "Enter" && plain) this.indent(e);
    }
    indent(e) {
      const { selectionStart: at, selectionEnd: end, value } = this.area, start = value.lastIndexOf("\n", at - 1) + 1;
      const spaces = /^ */.exec(value.slice(start, at))[0];
      if (spaces) { e.preventDefault(); this.write(at, end, `\n${spaces}`); }
    }

    /* ── Where the cursor is: its line, and what the schema says of the field there ── */
    moved() {
      if (this.isOpen && this.typed() === null) this.close();
      const line = this.area.value.slice(0, this.area.selectionStart).split("\n").length - 1;
      if (this.line !== line) this.ink.children[this.line]?.classList.remove("on");
      this.ink.children[(this.line = line)]?.classList.add("on");
      const path = this.path(line), help = path && $$(".schema > [data-path]").find((field) => field.dataset.path === path || `${field.dataset.path}[*]` === path);
      this.pen.hidden = !help;
      if (help && this.shown !== help) this.pen.replaceChildren(...help.cloneNode(true).childNodes);
      this.shown = help;
    }
    /* As the schema writes it, "consumers[*].credential", by indentation alone; for help, never for a judgement. */
    path(line) {
      const steps = [];
      let limit = Infinity, listed = false;
      for (let n = line; n >= 0 && (limit > 0 || listed); n--) {
        if (!/^\s*[^\s#]/.test(this.lines[n])) { if (n === line) return ""; continue; }
        const [, spaces, dashes, name] = FIELD.exec(this.lines[n]), column = spaces.length + dashes.length;
        if (name !== undefined && (column < limit || (listed && column === limit))) { steps.unshift(name); limit = column; listed = false; }
        if (n === line) limit = column;
        const items = [...dashes.matchAll(/-/g)].filter((dash) => spaces.length + dash.index < limit).length;
        if (items) { steps.unshift(...Array(items).fill("[*]")); limit = spaces.length; listed = true; }
      }
      return steps.join(".").replaceAll(".[*]", "[*]");
    }

    click(e) {
      const go = e.target.closest("[data-go]"), meant = e.target.closest("[data-meant]");
      if (e.target.closest("[data-leave]")) this.sent = true;
      if (go && go.hash === `#${this.area.id}`) { e.preventDefault(); this.go(go.dataset.go); }
      if (meant) {
        const { start, end, offset } = this.place(meant.closest("[data-at]").dataset.at), old = this.area.value.slice(offset + start, offset + end);
        this.write(offset + start, offset + end, old.startsWith("$ref{") ? `$ref{${meant.dataset.meant}}` : meant.dataset.meant);
      }
    }
  }
  const boot = (root) => $$("[data-editor]", root).forEach((editor) => (editor.editor ||= new Editor(editor)));
  addEventListener("DOMContentLoaded", () => boot(document));
  addEventListener("htmx:load", (e) => boot(e.detail.elt));
})();
