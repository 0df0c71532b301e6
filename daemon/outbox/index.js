"use strict";
const byId = (id) => document.getElementById(id);
const life = byId("life"), pause = byId("pause");
const memory = { // A browser may refuse to remember anything for a file on disk.
  get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* then not */ } },
};

// How old the page was when it was opened. Later only its reload can tell, so the judgement
// is made once.
const written = Date.parse(life?.dataset.written), opened = Date.now();
const ageAtOpening = (opened - written) / 1000;
const span = (s) => s < 60 ? `${Math.round(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min`
  : s < 172800 ? `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min` : `${Math.floor(s / 86400)} days`;

function tellAge() {
  const age = (Date.now() - written) / 1000, text = byId("age");
  if (ageAtOpening < -5) text.textContent = "The clocks of this computer and of the daemon's differ, so this page cannot tell whether it runs.";
  else if (life.classList.contains("down")) text.textContent = `The daemon is down: it last wrote this page ${span(age)} ago. Below is how things stood then.`;
  else text.textContent = `Written ${span(Math.max(0, age))} ago.`;
}
if (life && life.dataset.phase !== "stopped") {
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

// Times as one thinks of them; the whole of them is in the title.
const times = [...document.querySelectorAll("time")].filter((time) => !Number.isNaN(Date.parse(time.dateTime)));
const near = (s) => s < 0 ? `in ${span(-s)}` : s < 2 ? "now" : `${span(s)} ago`;
function tellTimes() {
  for (const time of times) time.textContent = near((Date.now() - Date.parse(time.dateTime)) / 1000);
}
for (const time of times)
  time.title = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
tellTimes();
setInterval(tellTimes, 10000);

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
  list.addEventListener("toggle", () => words.value ||
    memory.set("unfolded", lists.filter((one) => one.open).map((one) => one.id).join(" ")));
}

// What a person has read and does not want to see again, in this browser.
const lasting = {
  get() { try { return JSON.parse(localStorage.getItem("dismissed") ?? "[]"); } catch { return []; } },
  set(jobs) { try { localStorage.setItem("dismissed", JSON.stringify(jobs.slice(-500))); } catch { /* then not */ } },
};
const failures = [...document.querySelectorAll("li[data-job]")], hidden = byId("dismissed");
function showFailures() {
  const dismissed = lasting.get(), gone = failures.filter((one) => dismissed.includes(one.dataset.job));
  for (const one of failures) one.hidden = gone.includes(one);
  if (!hidden) return;
  hidden.hidden = !gone.length;
  hidden.firstElementChild.textContent = `${gone.length} hidden in this browser; what failed lies in failed/ all the same.`;
}
for (const button of document.querySelectorAll("button.dismiss")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    lasting.set([...lasting.get(), button.closest("li").dataset.job]);
    showFailures();
  });
}
hidden?.lastElementChild.addEventListener("click", () => { lasting.set([]); showFailures(); });
showFailures();

// Search: every word must be in the row. Folded rows are found, too.
const words = byId("words"), rows = [...document.querySelectorAll("ul.rows > li")];
const texts = rows.map((row) => row.textContent.toLowerCase());
function search() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  rows.forEach((row, place) => {
    const here = wanted.every((word) => texts[place].includes(word));
    row.classList.toggle("other", !here);
    found += here;
  });
  for (const list of document.querySelectorAll("section.list"))
    list.classList.toggle("other", Boolean(wanted.length) && !list.querySelector("ul.rows > li:not(.other)"));
  if (wanted.length) for (const list of lists) list.open = Boolean(list.querySelector("li:not(.other)"));
  byId("found").textContent = wanted.length ? `${found} of ${rows.length} rows` : "";
  memory.set(`words ${location.pathname}`, words.value);
}
byId("search").hidden = rows.length < 2;
// A report links to all mixes of its song by its name, behind a #.
const asked = location.hash.startsWith("#of=") ? decodeURIComponent(location.hash.slice(4)) : null;
words.value = asked ?? memory.get(`words ${location.pathname}`) ?? "";
words.addEventListener("input", search);
if (words.value) search();

// One player for all results, in the row of the one that it plays.
let player = null;
for (const button of document.querySelectorAll("button.play")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    player?.pause();
    player?.remove();
    player = document.createElement("audio");
    player.controls = true;
    player.src = button.dataset.sound;
    player.addEventListener("error", () => { button.textContent = "Cannot be played here"; });
    button.closest("li").append(player);
    player.play().catch(() => { /* its controls say so */ });
    player.focus();
  });
}

// Reloading: not while a person reads with it paused, selects text or looks elsewhere; and the
// keyboard's place is found again.
let paused = memory.get("paused") === "yes";
function showPause() {
  pause.hidden = false;
  pause.setAttribute("aria-pressed", String(paused));
}
if (pause) {
  pause.addEventListener("click", () => {
    paused = !paused;
    memory.set("paused", paused ? "yes" : "no");
    showPause();
  });
  showPause();
}

const places = () => [...document.querySelectorAll("a, button, summary, input, [tabindex]")];
const nameOf = (place) => place.id || place.parentElement?.id || place.getAttribute("href") || "";
const place = memory.get("focus");
if (place) places().find((one) => nameOf(one) === place)?.focus({ preventScroll: true });

function reload() {
  const heard = player && !player.paused, typing = document.activeElement === words;
  const busy = paused || document.hidden || heard || typing || !getSelection().isCollapsed;
  if (busy || Date.now() - opened < Number(life.dataset.refreshS) * 1000) return;
  memory.set("focus", nameOf(document.activeElement));
  location.reload();
}
if (life) setInterval(reload, 1000);
