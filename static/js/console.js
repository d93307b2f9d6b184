/* The console's only script of its own. Every page works without it; every word it shows comes from a template. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const panel = () => $("#panel");
  const words = () => document.body.dataset;

  /* Menus are <details>: a click elsewhere or Escape closes them, and Escape gives the focus back. */
  addEventListener("click", (e) => $$("details.menu[open]").forEach((menu) => menu.contains(e.target) || (menu.open = false)));
  addEventListener("keydown", (e) => {
    const menu = e.key === "Escape" && e.target.closest?.("details.menu[open]");
    if (menu) { menu.open = false; $("summary", menu).focus(); }
  });

  /* ── Copy, show, download ── */
  const textOf = (button) => (button.dataset.copyFrom ? document.getElementById(button.dataset.copyFrom).value : button.dataset.copy);
  async function copy(button) {
    const said = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(textOf(button));
    } catch {
      // Without a secure context there is no clipboard: select the text, so that Ctrl-C is all that is left to do.
      const field = document.getElementById(button.dataset.copyFrom);
      field?.focus(); field?.select();
      said.textContent = said.dataset.failed;
      return;
    }
    said.textContent = said.dataset.done;
    setTimeout(() => (said.textContent = ""), 2600);
    stored(button);
  }
  function show(button) {
    const field = $("input, textarea", button.parentElement), shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    if (field.localName === "input") field.type = shown ? "text" : "password";
  }
  function download(button) {
    const url = URL.createObjectURL(new Blob([`${button.dataset.name}=${textOf(button)}\n`], { type: "text/plain" }));
    Object.assign(document.createElement("a"), { href: url, download: `${button.dataset.name.toLowerCase()}.env` }).click();
    URL.revokeObjectURL(url);
    stored(button);
  }
  addEventListener("click", (e) => {
    const button = e.target.closest("[data-copy], [data-copy-from], [data-show], [data-download]");
    if (!button) return;
    if ("show" in button.dataset) show(button);
    else if ("download" in button.dataset) download(button);
    else copy(button);
  });

  /* ── Rows of a form: one is taken away here, and a new one from the server takes the focus ── */
  const focusRow = (row) => $("input:not([type=hidden])", row)?.focus();
  addEventListener("click", (e) => {
    const row = e.target.closest("[data-drop]")?.closest("[data-row]");
    if (!row) return;
    e.preventDefault(); // without this script the button asks the server for the form without the row
    const next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    if (next) focusRow(next);
  });
  addEventListener("htmx:beforeSwap", (e) => { // a preset that comes too late: what was typed meanwhile stays
    const sent = e.detail.requestConfig.parameters;
    if (e.target.matches("[data-preset]")) e.detail.shouldSwap &&= $$("input", e.target).every((input) => input.value === (sent[input.name] ?? ""));
  });
  addEventListener("htmx:beforeSwap", (e) => { // a part that asks for itself again waits while somebody is in it
    if (e.target.matches('[hx-trigger^="every"]') && (e.target.contains(document.activeElement) || $("details[open]", e.target))) e.detail.shouldSwap = false;
  });
  addEventListener("htmx:afterSwap", (e) => { if (e.target.matches("[data-rows]")) focusRow(e.target.lastElementChild); });

  /* ── A value shown once: it cannot be left before it was copied, saved, or said to be stored ── */
  const guard = () => $("[data-once]:not([data-stored])");
  function stored(within) {
    const once = within.closest("[data-once]");
    if (once) { once.dataset.stored = ""; $("[data-once-done]", once.closest(".sheet"))?.removeAttribute("aria-disabled"); }
  }
  function remind() {
    const once = guard(), box = $("[data-once-stored]", once);
    $("[data-once-reminder]", once).hidden = false;
    box.focus();
  }
  addEventListener("change", (e) => {
    if (!e.target.matches("[data-once-stored]")) return;
    if (e.target.checked) return stored(e.target);
    delete e.target.closest("[data-once]").dataset.stored;
    $("[data-once-done]")?.setAttribute("aria-disabled", "true");
  });
  addEventListener("click", (e) => { if (e.target.closest("[data-once-done]") && guard()) { e.preventDefault(); remind(); } });
  addEventListener("beforeunload", (e) => { if (guard()) e.preventDefault(); });

  /* ── A stored value that was revealed: taken out of the page when its time is over, and when the page is left ── */
  const fading = new Set();
  function fade(root) {
    clearInterval(root.ticking);
    fading.delete(root);
    if (!$("template", root)) return;
    $("textarea", root).value = "";
    root.replaceChildren($("template", root).content.cloneNode(true));
    if (root.isConnected) $("[tabindex]", root)?.focus();
  }
  function fadeLater(root) {
    if (fading.has(root)) return;
    const end = Date.now() + root.dataset.fades * 1000;
    fading.add(root);
    root.ticking = setInterval(() => {
      const left = Math.ceil((end - Date.now()) / 1000); // by the clock: a machine that slept shows nothing any more
      if (left <= 0 || !root.isConnected) fade(root);
      else $("[data-left]", root).textContent = left;
    }, 250);
  }
  addEventListener("click", (e) => { const button = e.target.closest("[data-fade]"); if (button) fade(button.closest("[data-fades]")); });
  addEventListener("pagehide", () => fading.forEach(fade)); // neither for Back nor for a copy of the page that the browser keeps
  for (const come of ["DOMContentLoaded", "htmx:load"]) addEventListener(come, () => $$("[data-fades]").forEach(fadeLater));

  /* ── The panel: its address is pushed; closing it goes back to the address below ──
     trail[0] is the page below, the others are the panel's addresses; at says where in it we are. */
  let opener, typed, title, trail = [], at = 0, pushing = false, leaving = false, asked = false, done = false;
  const snapshot = (form) => form.matches("form") && JSON.stringify([...new FormData(form)].map(([name, value]) => [name, String(value)]));
  const dirty = () => { const form = $("form.sheet", panel()); return !asked && form && typed !== undefined && snapshot(form) !== typed; };

  function open() {
    if (!panel().open) { title = document.title; panel().showModal(); }
    const heading = $("#panel-title", panel()), errors = $(".errors", panel());
    if (heading) document.title = `${errors ? words().error : ""}${heading.textContent.trim()} · Latchkey`;
    const first = errors || $("[autofocus]", panel()) || $$(".panel-body :is(input, select, textarea):not([type=hidden], [readonly], :disabled)", panel()).find((field) => field.checkVisibility()) || heading;
    first?.focus();
  }
  function shut() {
    if (!panel().open) return;
    document.title = title;
    panel().close();
    fading.forEach(fade);
    panel().replaceChildren();
    trail = []; at = 0; typed = undefined; asked = leaving = false;
    if (done) return location.reload(); // the page below was drawn before the deed
    (opener?.isConnected ? opener : $("#main")).focus();
  }
  function leave() {
    if (guard()) return remind();
    if (dirty()) return $("#discard").showModal();
    if (!at) return shut();
    leaving = true;
    history.go(-at);
  }
  addEventListener("popstate", (e) => {
    if (!panel()?.open) return;
    e.stopImmediatePropagation(); // or htmx would fetch the page that is still standing below
    if (!leaving && (guard() || dirty())) {
      history.go(1);
      addEventListener("popstate", (back) => back.stopImmediatePropagation(), { capture: true, once: true });
      return guard() ? remind() : $("#discard").showModal();
    }
    at = Math.max(trail.lastIndexOf(location.href), 0);
    if (at) htmx.ajax("GET", location.href, { target: "#panel" });
    else shut();
  }, { capture: true });
  // A link to a field would push an address of its own; the field is at hand.
  addEventListener("click", (e) => {
    const link = e.target.closest(".errors a");
    if (!link) return;
    e.preventDefault();
    document.getElementById(link.hash.slice(1))?.focus();
  });
  addEventListener("click", (e) => {
    const dialog = e.target.closest("dialog");
    if (e.target.closest("[data-close]") && dialog === panel() && dialog.open) { e.preventDefault(); leave(); }
    else if (e.target === panel()) { const box = panel().getBoundingClientRect(); if (e.clientX < box.left || e.clientX > box.right || e.clientY < box.top || e.clientY > box.bottom) leave(); }
    else if (e.target.closest("[data-discard]")) { $("#discard").close(); asked = true; leave(); }
    else if (e.target.closest("[data-keep]")) $("#discard").close();
  });
  addEventListener("keydown", (e) => { if (e.key === "Escape" && !e.defaultPrevented && panel()?.open && !$("#discard").open) { e.preventDefault(); leave(); } });
  addEventListener("cancel", (e) => { if (e.target === panel()) { e.preventDefault(); leave(); } }, { capture: true }); // a phone's back gesture

  /* ── htmx ── */
  addEventListener("htmx:configRequest", (e) => {
    if (e.target.matches("[role=combobox]")) e.detail.parameters = { q: e.target.value };
    if (e.target.matches('[hx-trigger^="every"]')) e.detail.headers["HX-Polled"] = "true"; // nobody sits there: the session may end
  });
  addEventListener("htmx:beforeRequest", (e) => {
    const { elt, target } = e.detail;
    $$("[data-trouble]").forEach((trouble) => trouble.remove());
    (e.detail.requestConfig.triggeringEvent?.submitter || elt).setAttribute("aria-busy", "true");
    if (target === panel() && !panel().open) { const menu = elt.closest("details.menu"); menu && (menu.open = false); opener = menu?.firstElementChild || elt; trail = [location.href]; at = 0; }
  });
  addEventListener("htmx:afterRequest", (e) => (e.detail.requestConfig.triggeringEvent?.submitter || e.detail.elt).removeAttribute("aria-busy"));
  addEventListener("htmx:beforeHistoryUpdate", (e) => (pushing = panel()?.contains(e.detail.target) && e.detail.history.type === "push"));
  addEventListener("htmx:pushedIntoHistory", () => {
    if (!pushing) return;
    trail = [...trail.slice(0, at + 1), location.href];
    at = trail.length - 1;
  });
  // Filled (innerHTML) the event is the panel's; replaced (outerHTML) it is the new sheet's.
  const sheetOf = (e) => (e.target === panel() ? $(".sheet", panel()) : e.target.matches?.(".sheet") ? e.target : null);
  addEventListener("htmx:afterSwap", (e) => {
    if (e.target === document.body) { trail = []; at = 0; typed = undefined; done = false; $("#main")?.focus(); return; }
    const sheet = sheetOf(e);
    if (!sheet) return;
    if (!panel().contains(sheet)) return $(".errors", sheet)?.focus();
    done ||= e.detail.requestConfig.verb === "post" && e.detail.xhr.status < 400;
    open();
  });
  addEventListener("htmx:afterSettle", (e) => {
    const sheet = sheetOf(e);
    if (sheet && panel().contains(sheet)) typed = $(".errors", sheet) ? "" : snapshot(sheet);
  });
  function trouble(text) {
    const note = $("#trouble").content.firstElementChild.cloneNode(true);
    $("[data-text]", note).textContent = text;
    (panel().open ? $(".panel-body", panel()) || panel() : $(".wrap") || $("main")).prepend(note);
  }
  addEventListener("htmx:sendError", () => trouble(words().unreachable));
  addEventListener("database-away", () => trouble(words().away));
  addEventListener("htmx:timeout", () => trouble(words().unreachable));
  addEventListener("htmx:responseError", (e) => trouble(e.detail.xhr.status === 404 ? words().gone : words().failed));

  /* ── Combobox: WAI-ARIA APG "editable combobox with list autocomplete", manual selection. htmx fills the list. ── */
  let pressed = false;
  addEventListener("pointerdown", () => (pressed = true), { capture: true });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (pressed = false), { capture: true });
  class Combo {
    constructor(root) {
      this.root = root; this.input = $("input", root); this.box = $(".listbox", root); this.list = $("[role=listbox]", root);
      this.said = $("[role=status]", root); this.at = -1;
      for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id })) this.input.setAttribute(name, value);
      this.input.addEventListener("keydown", (e) => this.key(e));
      this.input.addEventListener("input", () => this.open());
      this.input.addEventListener("click", () => this.open());
      // A press that leaves the field ends on what it began on: the list must not move the page in between.
      this.input.addEventListener("blur", () => (pressed ? addEventListener("pointerup", () => setTimeout(() => this.close()), { once: true }) : this.close()));
      $("[data-combo-toggle]", root).addEventListener("click", () => { this.input.focus(); this.isOpen ? this.close() : this.open(); });
      root.addEventListener("pointerdown", (e) => e.target === this.input || e.preventDefault()); // the focus stays in the field
      this.list.addEventListener("click", (e) => this.pick(e.target.closest("[role=option]")));
      this.list.addEventListener("htmx:afterSwap", () => { $(".listbox-none", root).hidden = this.options.length > 0; this.mark(-1); this.say(); this.reveal(); });
      if (document.activeElement === this.input && this.input.value !== this.input.defaultValue) this.open(); // typed before this script came
    }
    get options() { return $$("[role=option]", this.list); }
    get isOpen() { return !this.box.hidden; }
    open() {
      if (this.isOpen) return;
      this.box.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
      if (!this.loaded) { this.loaded = true; htmx.trigger(this.input, "combo:load"); }
      if (innerWidth < 768) this.root.closest(".field")?.scrollIntoView({ block: "start" });
      this.reveal();
    }
    reveal() { if (this.isOpen && innerWidth >= 768) this.box.scrollIntoView({ block: "nearest" }); }
    close() { this.box.hidden = true; this.input.setAttribute("aria-expanded", "false"); this.mark(-1); this.said.textContent = ""; }
    mark(at) {
      const options = this.options;
      this.at = at;
      options.forEach((option, n) => option.setAttribute("aria-selected", n === at));
      if (options[at]) { this.input.setAttribute("aria-activedescendant", options[at].id); options[at].scrollIntoView({ block: "nearest" }); }
      else this.input.removeAttribute("aria-activedescendant");
    }
    say() {
      const n = this.options.length, { none, one, many } = this.said.dataset;
      if (this.isOpen) this.said.textContent = n === 0 ? none : n === 1 ? one : many.replace("#", n);
    }
    pick(option) {
      if (!option || option.ariaDisabled === "true") return;
      this.input.value = option.dataset.value;
      this.close();
      this.loaded = false;
      this.input.dispatchEvent(new Event("change", { bubbles: true }));
    }
    key(e) {
      const n = this.options.length;
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault();
        if (!this.isOpen) { this.open(); if (e.altKey) return; }
        else if (e.altKey && e.key === "ArrowUp") return this.close();
        if (n) this.mark(e.key === "ArrowDown" ? (this.at + 1) % n : (Math.max(this.at, 0) - 1 + n) % n);
      } else if (e.key === "Enter" && this.isOpen) {
        e.preventDefault(); // in a list, Enter chooses; it must not send the form
        this.at >= 0 ? this.pick(this.options[this.at]) : this.close();
      } else if (e.key === "Escape" && this.isOpen) {
        e.preventDefault(); // first the list, then the panel
        this.close();
      } else if (["Home", "End", "ArrowLeft", "ArrowRight"].includes(e.key)) this.mark(-1);
      else if (e.key === "Tab") this.close();
    }
  }
  const boot = (root) => $$("[data-combo]", root).concat(root.matches?.("[data-combo]") ? root : []).forEach((combo) => (combo.combo ||= new Combo(combo)));
  addEventListener("DOMContentLoaded", () => boot(document));
  addEventListener("htmx:load", (e) => boot(e.detail.elt));
})();
