(function () {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const told = JSON.parse(byId("data").textContent);
  const songs = told.rows.map((row, number) => {
    const song = { number };
    told.columns.forEach((name, at) => { song[name] = row[at] ?? null; });
    song.words = [song.file, song.title, ...(song.notes ?? []), ...(song.error ?? [])].join("\n").toLowerCase();
    return song;
  });
  const body = byId("rows"), table = byId("table"), audio = byId("audio"), said = byId("said");
  const search = byId("search"), from = byId("from"), to = byId("to"), key = byId("key"), near = byId("near");
  const show = byId("show"), sort = byId("sort"), turn = byId("turn"), play = byId("play"), seek = byId("seek");
  table.classList.toggle("truth", Boolean(table.querySelector("th.truebpm")));

  // Keys: any spelling to a place on the Camelot wheel.
  const NOTES = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
  const FLATS = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];
  const wheel = (pitch, minor) => `${(7 + 7 * (minor ? pitch + 3 : pitch)) % 12 + 1}${minor ? "A" : "B"}`;
  function camelotOf(text) {
    const plain = (text ?? "").trim().replace("♭", "b").replace("♯", "#");
    let found = /^0?(\d{1,2})([AB])$/i.exec(plain);
    if (found) return `${Number(found[1])}${found[2].toUpperCase()}`;
    found = /^0?(\d{1,2})([md])$/i.exec(plain);
    if (found) return `${(Number(found[1]) + 6) % 12 + 1}${found[2].toLowerCase() === "m" ? "A" : "B"}`;
    found = /^([A-G])([b#]?)\s*(m|min|minor|maj|major|)$/i.exec(plain);
    if (!found) return null;
    const pitch = NOTES[found[1].toUpperCase()] + { "": 0, "b": 11, "B": 11, "#": 1 }[found[2]];
    return wheel(pitch % 12, found[3] === "m" || /^min/i.test(found[3]));
  }
  const place = (camelot) => 2 * parseInt(camelot, 10) + (camelot.endsWith("B") ? 1 : 0);
  function mixes(one, other) {
    const distance = (parseInt(one, 10) - parseInt(other, 10) + 12) % 12;
    return one.at(-1) === other.at(-1) ? distance === 0 || distance === 1 || distance === 11 : distance === 0;
  }
  const every = FLATS.flatMap((note, pitch) => [[wheel(pitch, false), `${note} major`], [wheel(pitch, true), `${note} minor`]]);
  every.sort((a, b) => place(a[0]) - place(b[0])).forEach(([code, name]) => key.add(new Option(`${code} · ${name}`, code)));

  // How a result stands to what was there before.
  const RATIOS = [[2, "2 ×"], [0.5, "½ ×"], [1.5, "3⁄2 ×"], [2 / 3, "⅔ ×"], [3, "3 ×"], [1 / 3, "⅓ ×"]];
  function against(bpm, old) {
    if (bpm === null || old === null) return "";
    if (Math.abs(bpm / old - 1) < 0.01) return "same";
    const ratio = RATIOS.find(([factor]) => Math.abs(bpm / old / factor - 1) < 0.02);
    return ratio ? ratio[1] : "other";
  }
  const keyAgainst = (song) => {
    const old = camelotOf(song.tag_key);
    return !old || !song.camelot ? "" : old === song.camelot ? "same" : mixes(old, song.camelot) ? "near" : "other";
  };

  const LOOKS = {
    failed: (song) => song.error !== null,
    noted: (song) => song.notes?.length > 0,
    unsure: (song) => [song.bpm_p, song.key_p].some((p) => p !== null && p < 0.8),
    moving: (song) => song.stable === false,
    retagged: (song) => !["", "same"].includes(against(song.bpm, song.tag_bpm)) || !["", "same"].includes(keyAgainst(song)),
    wall: (song) => song.evidence !== null && song.evidence !== "none",
    wrong: (song) => (song.ratio !== null && String(song.ratio) !== "1") || (song.relation !== null && song.relation !== "same"),
  };
  for (const [name, holds] of Object.entries(LOOKS)) { // what would show nothing is not offered
    const option = show.querySelector(`[value=${name}]`), many = songs.filter(holds).length;
    if (many) option.textContent += ` (${many})`; else option.remove();
  }

  let shown = [], order = "", down = false, current = 0, playing = null, drawn = [0, 0];
  const words = new Intl.Collator(undefined, { numeric: true }); // localeCompare makes one at each call
  const value = (song) => order === "camelot" ? (song.camelot && place(song.camelot)) : order === "tag_key"
    ? (camelotOf(song.tag_key) && place(camelotOf(song.tag_key))) : song[order];
  function compare(a, b) {
    if (!order) return (b.error !== null) - (a.error !== null) || a.number - b.number;
    const one = value(a), other = value(b);
    if (one === null || other === null) return (one === null) - (other === null) || a.number - b.number;
    const way = typeof one === "string" ? words.compare(one, other) : one - other;
    return (down ? -way : way) || a.number - b.number;
  }
  function choose() {
    const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const low = from.value === "" ? null : Number(from.value), high = to.value === "" ? null : Number(to.value);
    const kept = shown[current];
    shown = songs.filter((song) => asked.every((word) => song.words.includes(word))
      && (low === null || (song.bpm !== null && song.bpm >= low)) && (high === null || (song.bpm !== null && song.bpm <= high))
      && (!key.value || (song.camelot && (near.checked ? mixes(song.camelot, key.value) : song.camelot === key.value)))
      && (!show.value || LOOKS[show.value](song))).sort(compare);
    current = Math.max(0, shown.indexOf(kept));
    byId("count").textContent = shown.length === songs.length ? `${songs.length} songs.` : `${shown.length} of ${songs.length} songs.`;
    for (const head of table.querySelectorAll("th[data-sort]")) {
      if (head.dataset.sort === order) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    sort.value = order;
    turn.textContent = down ? "↓" : "↑";
    turn.disabled = !order;
    draw(true);
  }

  // Rows: only those around what is looked at are in the page.
  function part(parent, text, className) {
    const element = parent.appendChild(document.createElement("span"));
    element.textContent = text;
    if (className) element.className = className;
    return element;
  }
  const minus = (text) => text.replace("-", "−");
  const number = (value, digits) => value === null ? "–" : minus(value.toFixed(digits));
  const percent = (p) => p === null ? "" : `${Math.min(99, Math.max(1, Math.round(100 * p)))} %`;
  const spellings = (song) => ({ classic: [song.key, song.camelot], camelot: [song.camelot, song.key], open_key: [song.open_key, song.key] })[told.key_names];
  function cell(row, name, text, under, differs) {
    const element = row.appendChild(document.createElement("td"));
    element.className = name;
    element.setAttribute("role", "gridcell");
    part(element, text);
    if (under) part(element, under, differs ? "soft differs" : "soft");
    return element;
  }
  function rowOf(song, at) {
    const row = document.createElement("tr");
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", at + 2);
    row.setAttribute("aria-selected", String(at === current));
    row.tabIndex = at === current ? 0 : -1;
    row.dataset.at = at;
    const button = cell(row, "play", "").appendChild(document.createElement("button"));
    button.type = "button";
    button.tabIndex = -1;
    button.textContent = song === playing && !audio.paused ? "❚❚" : "▶";
    button.setAttribute("aria-label", `Play ${song.file}`);
    button.hidden = song.bytes === null;
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.className = "song";
    head.setAttribute("role", "rowheader");
    const name = part(head, "");
    const link = song.page ? name.appendChild(document.createElement("a")) : name;
    if (song.page) { link.href = song.page; link.tabIndex = -1; }
    const slash = song.file.lastIndexOf("/");
    link.textContent = song.file.slice(slash + 1);
    link.title = song.file;
    const under = part(head, "", "soft");
    if (song.notes?.length) part(under, `${song.notes.join(" ")} `, "code");
    const folder = slash < 0 ? null : song.file.slice(0, slash), twin = song.same_as && `the same as ${song.same_as}`;
    under.append([song.title, twin, folder].filter(Boolean).join(" · "));
    under.title = under.textContent;
    if (song.error) {
      row.classList.add("failed");
      const error = cell(row, "error", "");
      part(error, song.error[0], "code");
      part(error, song.error[1], "soft").title = song.error[1];
      return row;
    }
    const [first, second] = spellings(song), old = against(song.bpm, song.tag_bpm), oldKey = keyAgainst(song);
    const others = song.candidates?.length ? `or ${minus(String(Math.round(song.candidates[0])))}` : "";
    cell(row, "length", clock(song.seconds));
    cell(row, "bpm", (song.stable === false ? "~ " : "") + number(song.bpm, 2), [percent(song.bpm_p), others].filter(Boolean).join(" "));
    cell(row, "tagbpm", song.tag_bpm === null ? "–" : String(song.tag_bpm), old, old !== "same");
    cell(row, "tonality", first ?? "–", [second, percent(song.key_p)].filter(Boolean).join(" · "));
    cell(row, "tagkey", song.tag_key ?? "–", oldKey, oldKey !== "same");
    cell(row, "lufs", number(song.lufs, 1));
    cell(row, "peak", number(song.peak, 1));
    cell(row, "energy", number(song.energy, 2));
    cell(row, "dance", number(song.dance, 2));
    cell(row, "wall", { lossy_wall: "lossy wall", upsampled: "upsampled" }[song.evidence] ?? "–");
    if (table.classList.contains("truth")) {
      cell(row, "truebpm", song.truth_bpm === null ? "–" : String(song.truth_bpm), String(song.ratio) === "1" ? "same" : song.ratio ?? "", String(song.ratio) !== "1");
      cell(row, "truekey", song.truth_key ?? "–", song.relation ?? "", song.relation !== "same");
    }
    return row;
  }
  const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
  const AROUND = 60;
  function range() {
    const height = rowHeight(), top = -body.getBoundingClientRect().top;
    const first = Math.floor(top / height), last = Math.ceil((top + innerHeight) / height);
    return [Math.max(0, Math.min(first, shown.length)), Math.max(0, Math.min(last, shown.length))];
  }
  function draw(anew, all) {
    const [first, last] = range();
    if (!anew && first >= drawn[0] && last <= drawn[1]) return;
    drawn = all ? [0, shown.length] : [Math.max(0, first - AROUND), Math.min(shown.length, last + AROUND)];
    const focused = body.contains(document.activeElement);
    const rows = shown.slice(...drawn).map((song, n) => rowOf(song, drawn[0] + n));
    if (!shown.length) {
      const row = rows[rows.push(document.createElement("tr")) - 1];
      cell(row, "nothing error", "No song is left: clear the filters.");
    }
    const height = all ? 0 : rowHeight();
    body.style.minHeight = `${shown.length * height}px`; // never shorter in between, or the place is lost
    body.style.paddingTop = `${drawn[0] * height}px`;
    body.style.paddingBottom = `${(shown.length - drawn[1]) * height}px`;
    body.replaceChildren(...rows);
    table.setAttribute("aria-rowcount", shown.length + 1);
    if (focused) rowAt(current)?.focus({ preventScroll: true });
  }
  const rowAt = (at) => body.querySelector(`tr[data-at="${at}"]`);
  function move(to) {
    if (!shown.length) return;
    for (const row of [rowAt(current)]) { if (row) { row.tabIndex = -1; row.setAttribute("aria-selected", "false"); } }
    current = Math.max(0, Math.min(shown.length - 1, to));
    const height = rowHeight(), top = body.getBoundingClientRect().top + current * height;
    const above = table.tHead.offsetHeight, below = innerHeight - byId("player").offsetHeight;
    if (top < above) scrollBy(0, top - above); else if (top + height > below) scrollBy(0, top + height - below);
    draw();
    const row = rowAt(current);
    row.tabIndex = 0;
    row.setAttribute("aria-selected", "true");
    row.focus({ preventScroll: true });
  }

  // Sound: the person's own files, found by name and size.
  const files = new Map(), sizes = new Map();
  const keep = (map, name, found) => map.set(name, [...(map.get(name) ?? []), found]);
  function learn(file, path) {
    keep(files, `${file.name.normalize("NFC")}\0${file.size}`, { file, path });
    keep(sizes, file.size, { file, path });
  }
  function sharedEnd(one, other) {
    let many = 0;
    while (many < one.length && one.at(-1 - many) === other.at(-1 - many)) many += 1;
    return many;
  }
  function fileOf(song) {
    const name = song.file.normalize("NFC"), alike = files.get(`${name.split("/").at(-1)}\0${song.bytes}`);
    if (alike) return alike.reduce((best, one) => sharedEnd(one.path, name) > sharedEnd(best.path, name) ? one : best).file;
    const sized = sizes.get(song.bytes) ?? []; // renamed since, or with a name that cannot be shown
    return sized.length === 1 ? sized[0].file : null;
  }
  function toggle(song) {
    if (!song || song.bytes === null) return;
    if (song === playing) { if (audio.paused) start(); else audio.pause(); return; }
    if (!files.size) { byId("pick").click(); said.textContent = "Choose the folder these songs lie in."; return; }
    const file = fileOf(song);
    if (!file) { said.textContent = `${song.file} is not in that folder with ${song.bytes} bytes.`; return; }
    if (audio.src) URL.revokeObjectURL(audio.src);
    playing = song;
    audio.src = URL.createObjectURL(file);
    said.textContent = song.file;
    play.disabled = seek.disabled = false;
    start();
  }
  function start() { audio.play().catch((error) => { if (error.name !== "AbortError") said.textContent = `This browser cannot play ${playing.file}.`; }); }
  function tell() {
    play.textContent = audio.paused ? "Play" : "Pause";
    draw(true);
  }
  async function walk(entry) {
    if (entry.isFile) { const file = await new Promise((done, not) => entry.file(done, not)); learn(file, entry.fullPath.normalize("NFC")); return; }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, not) => reader.readEntries(done, not));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  }
  function counted() {
    const many = songs.filter((song) => song.bytes !== null && fileOf(song)).length;
    said.textContent = `${many} of ${songs.length} songs can be played.`;
  }

  for (const head of table.querySelectorAll("th[data-sort]")) {
    sort.add(new Option(head.firstElementChild.textContent, head.dataset.sort));
    head.firstElementChild.addEventListener("click", () => {
      down = order === head.dataset.sort ? !down : false;
      order = head.dataset.sort;
      choose();
    });
  }
  sort.add(new Option("failed first", ""), 0);
  byId("filters").hidden = byId("player").hidden = false;
  byId("filters").addEventListener("input", (event) => { if (event.target === sort) { order = sort.value; down = false; } choose(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => { order = ""; down = false; setTimeout(choose); });
  turn.addEventListener("click", () => { down = !down; choose(); });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-at]");
    if (!row) return;
    const song = shown[row.dataset.at];
    if (event.target.closest("a")) return;
    move(Number(row.dataset.at));
    if (event.target.closest("button")) toggle(song);
  });
  body.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(innerHeight / rowHeight()) - 3);
    const to = { ArrowUp: current - 1, ArrowDown: current + 1, PageUp: current - page, PageDown: current + page, Home: 0, End: shown.length - 1 }[event.key];
    if (to !== undefined) move(to);
    else if (event.key === " ") toggle(shown[current]);
    else if (event.key === "Enter" && shown[current].page) location.href = shown[current].page;
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") audio.currentTime += event.key === "ArrowLeft" ? -5 : 5;
    else return;
    event.preventDefault();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) { search.select(); search.focus(); event.preventDefault(); }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") { move(current); event.preventDefault(); }
    else if (event.key === "Escape") { search.value = ""; choose(); }
  });
  byId("pick").addEventListener("change", (event) => {
    for (const file of event.target.files) learn(file, (file.webkitRelativePath || file.name).normalize("NFC"));
    counted();
  });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    for (const entry of entries) await walk(entry);
    counted();
  });
  play.addEventListener("click", () => toggle(playing));
  audio.addEventListener("play", tell);
  audio.addEventListener("pause", tell);
  audio.addEventListener("timeupdate", () => {
    byId("now").textContent = clock(audio.currentTime);
    seek.max = audio.duration || 1;
    seek.value = audio.currentTime;
  });
  seek.addEventListener("input", () => { audio.currentTime = Number(seek.value); });
  addEventListener("scroll", () => draw(), { passive: true });
  addEventListener("resize", () => draw(true));
  addEventListener("beforeprint", () => draw(true, true));
  addEventListener("afterprint", () => draw(true));
  choose();
}());
