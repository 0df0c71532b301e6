"use strict";
const byId = (id) => document.getElementById(id);
const life = byId("life"), pause = byId("pause");
const memory = { // A browser may refuse to remember anything for a file on disk.
  get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* then not */ } },
};

// How old the page was when it was opened. Later only its reload can tell, so the judgement
// is made once.
const written = Date.parse(life.dataset.written), opened = Date.now();
const ageAtOpening = (opened - written) / 1000;
const span = (s) => s < 60 ? `${Math.round(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min`
  : s < 172800 ? `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min` : `${Math.floor(s / 86400)} days`;

function tellAge() {
  const age = (Date.now() - written) / 1000, text = byId("age");
  if (ageAtOpening < -5) text.textContent = "The clocks of this computer and of the daemon's differ, so this page cannot tell whether it runs.";
  else if (life.classList.contains("down")) text.textContent = `The daemon is down: it last wrote this page ${span(age)} ago. Below is how things stood then.`;
  else text.textContent = `Written ${span(Math.max(0, age))} ago.`;
}
if (life.dataset.phase !== "stopped") {
  if (ageAtOpening > Number(life.dataset.downAfterS)) {
    life.classList.add("down");
    byId("start").hidden = false;
    byId("phase").className = "phase down";
    byId("phase").textContent = "down";
    document.title = `Down – ${document.title}`;
  }
  tellAge();
  setInterval(tellAge, 1000);
}

for (const time of document.querySelectorAll("time")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  time.title = time.textContent;
  time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
  });
}

// A list that was unfolded stays so.
const lists = [...document.querySelectorAll("details")];
const unfolded = (memory.get("unfolded") ?? "").split(" ");
for (const list of lists) {
  list.open = unfolded.includes(list.id);
  list.addEventListener("toggle", () =>
    memory.set("unfolded", lists.filter((one) => one.open).map((one) => one.id).join(" ")));
}

// Reloading: not while a person reads with it paused, selects text or looks elsewhere; and the
// keyboard's place is found again.
let paused = memory.get("paused") === "yes";
function showPause() {
  pause.hidden = false;
  pause.setAttribute("aria-pressed", String(paused));
}
pause.addEventListener("click", () => {
  paused = !paused;
  memory.set("paused", paused ? "yes" : "no");
  showPause();
});
showPause();

const places = () => [...document.querySelectorAll("a, button, summary, [tabindex]")];
const nameOf = (place) => place.id || place.parentElement?.id || place.getAttribute("href") || "";
const place = memory.get("focus");
if (place) places().find((one) => nameOf(one) === place)?.focus({ preventScroll: true });

function reload() {
  const busy = paused || document.hidden || !getSelection().isCollapsed;
  if (busy || Date.now() - opened < Number(life.dataset.refreshS) * 1000) return;
  memory.set("focus", nameOf(document.activeElement));
  location.reload();
}
setInterval(reload, 1000);
