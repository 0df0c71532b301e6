(function () {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const told = JSON.parse(byId("data").textContent);
  const files = [];
  for (const [folder, address, rows] of told.groups) {
    for (const row of rows) {
      const file = { folder, number: files.length, place: address };
      told.columns.forEach((name, at) => { file[name] = row[at] ?? null; });
      file.words = [folder, file.name, file.title, file.artist, file.album, file.trouble, file.said].join("\n").toLowerCase();
      files.push(file);
    }
  }
  const body = byId("rows"), audio = byId("audio"), play = byId("play"), seek = byId("seek"), said = byId("said");
  const search = byId("search"), sort = byId("sort"), turn = byId("turn"), folders = byId("folders");
  const order = new Intl.Collator(undefined, { numeric: true });
  let inside = "", shown = [], down = false, playing = null, drawn = [0, 0];

  // Folders: those of the folder that is looked at, with how much lies below each.
  const below = new Map();
  const holding = new Set(); // folders in which files lie
  for (const [folder, , rows] of told.groups) {
    const names = folder.split("/");
    holding.add(folder);
    for (let depth = 0; depth <= names.length; depth += 1) {
      const above = names.slice(0, depth).join("/"), name = names[depth];
      if (!below.has(above)) below.set(above, new Map());
      if (name !== undefined) below.get(above).set(name, (below.get(above).get(name) ?? 0) + rows.length);
    }
  }
  const joined = (folder, name) => folder ? `${folder}/${name}` : name;
  function button(text, path, way) {
    const one = folders.appendChild(document.createElement("button"));
    one.type = "button";
    one.textContent = text;
    one.className = way ? "way" : "";
    one.addEventListener("click", () => { go(path); folders.querySelector("button").focus(); });
  }
  function go(path) {
    inside = path;
    folders.replaceChildren();
    button("All", "", true);
    path.split("/").filter(Boolean).forEach((name, at, names) => button(`› ${name}`, names.slice(0, at + 1).join("/"), true));
    folders.appendChild(document.createElement("span")).className = "break";
    const here = [...(below.get(path) ?? new Map())].sort((a, b) => order.compare(a[0], b[0]));
    for (const [name, many] of here) button(`${name} (${many})`, joined(path, name));
    choose();
  }

  const orders = new Map();
  // All files in the order that is asked for, which is found out once: typing only leaves some out.
  function ordered(key, turned) {
    const name = `${key} ${turned}`;
    if (!orders.has(name)) orders.set(name, key ? [...files].sort((a, b) => compare(a, b, key, turned)) : turned ? [...files].reverse() : files);
    return orders.get(name);
  }
  function compare(a, b, key, turned) {
    const one = a[key], other = b[key];
    if (one === null || other === null) return (one === null) - (other === null) || a.number - b.number;
    const way = typeof one === "string" ? order.compare(one, other) : one - other;
    return (turned ? -way : way) || a.number - b.number;
  }
  function choose() {
    const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = ordered(sort.value, down).filter((file) => (!inside || file.folder === inside || file.folder.startsWith(`${inside}/`))
      && asked.every((word) => file.words.includes(word)));
    byId("count").textContent = shown.length === files.length ? `${files.length} files.` : `${shown.length} of ${files.length} files.`;
    turn.textContent = down ? "↓" : "↑";
    draw(true);
  }

  function part(parent, text, className) {
    const one = parent.appendChild(document.createElement("span"));
    one.textContent = text;
    one.className = className ?? "";
    one.title = text;
    return one;
  }
  function cell(row, className) {
    const one = row.appendChild(document.createElement("div"));
    one.className = className;
    return one;
  }
  function wave(canvas, file) {
    const bytes = Uint8Array.from(atob(file.peaks), (letter) => letter.charCodeAt(0));
    const style = getComputedStyle(document.documentElement), pen = canvas.getContext("2d");
    const share = file === playing && audio.duration ? audio.currentTime / audio.duration : 0;
    const heard = style.getPropertyValue("--accent"), rest = style.getPropertyValue("--second");
    canvas.width = bytes.length * 2;
    canvas.height = 80;
    bytes.forEach((byte, at) => {
      pen.fillStyle = at / bytes.length < share ? heard : rest;
      const height = Math.max(1, byte / 255 * 80);
      pen.fillRect(at * 2, 40 - height / 2, 1.5, height);
    });
  }
  function rowOf(file, at) {
    const row = document.createElement("div");
    row.className = file === playing ? "row on" : "row";
    row.setAttribute("role", "listitem");
    row.setAttribute("aria-posinset", at + 1);
    row.setAttribute("aria-setsize", shown.length);
    row.dataset.number = file.number;
    const start = row.appendChild(document.createElement("button"));
    start.type = "button";
    start.textContent = file === playing && !audio.paused ? "❚❚" : "▶";
    start.setAttribute("aria-label", `Play ${file.name}`);
    start.addEventListener("click", () => begin(file));
    const name = cell(row, "name");
    part(name, file.title ?? file.name);
    const under = [file.artist, file.album, file.title ? file.name : null, file.folder, file.said && `“${file.said}”`].filter(Boolean).join(" · ");
    const soft = part(name, "", "soft");
    if (file.trouble) { const code = document.createElement("b"); code.className = "code"; code.textContent = `${file.trouble} `; soft.append(code); }
    soft.append(under);
    soft.title = under;
    const place = cell(row, "wave");
    if (file.peaks) {
      const canvas = place.appendChild(document.createElement("canvas"));
      wave(canvas, file);
      canvas.addEventListener("click", (event) => begin(file, event.offsetX / canvas.clientWidth));
    }
    part(cell(row, "figure"), clock(file.seconds));
    part(cell(row, "figure"), file.lufs === null ? "–" : `${file.lufs.toFixed(1).replace("-", "−")} LUFS`, "soft");
    part(cell(row, "figure music"), [file.bpm === null ? null : `${file.bpm} BPM`, file.key].filter(Boolean).join(" "), "soft");
    return row;
  }
  const AROUND = 24;
  function draw(anew) {
    const height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    const top = -body.getBoundingClientRect().top;
    const first = Math.max(0, Math.min(shown.length, Math.floor(top / height)));
    const last = Math.max(0, Math.min(shown.length, Math.ceil((top + innerHeight) / height)));
    if (!anew && first >= drawn[0] && last <= drawn[1]) return;
    drawn = [Math.max(0, first - AROUND), Math.min(shown.length, last + AROUND)];
    const rows = shown.slice(...drawn).map((file, at) => rowOf(file, drawn[0] + at));
    if (!shown.length) {
      rows.push(document.createElement("p"));
      rows[0].className = "nothing";
      rows[0].textContent = "No file is left: clear the search, or go up.";
    }
    body.style.minHeight = `${shown.length * height}px`; // never shorter in between, or the place is lost
    body.style.paddingTop = `${drawn[0] * height}px`;
    body.style.paddingBottom = `${(shown.length - drawn[1]) * height}px`;
    body.replaceChildren(...rows);
  }

  function begin(file, share) {
    if (file === playing && share === undefined) { if (audio.paused) start(); else audio.pause(); return; }
    if (file !== playing) {
      playing = file;
      audio.src = file.place + (file.address ?? encodeURIComponent(file.name));
    }
    const jump = () => { if (share !== undefined && audio.duration) audio.currentTime = share * audio.duration; };
    if (audio.readyState) jump(); else audio.addEventListener("loadedmetadata", jump, { once: true });
    said.textContent = [file.title, file.name, file.folder].filter(Boolean).join(" · ");
    play.disabled = seek.disabled = false;
    start();
    draw(true);
  }
  const fail = () => {
    said.textContent = `${playing.name} cannot be played from here: open this page from disk, on the computer where the file lies.`;
  };
  const start = () => audio.play().catch((error) => { if (error.name !== "AbortError") fail(); });
  audio.addEventListener("error", fail);
  const mark = () => {
    play.textContent = audio.paused ? "Play" : "Pause";
    const row = playing && body.querySelector(`[data-number="${playing.number}"]`);
    if (row) {
      row.querySelector("button").textContent = audio.paused ? "▶" : "❚❚";
      const canvas = row.querySelector("canvas");
      if (canvas) wave(canvas, playing);
    }
  };
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, mark);
  audio.addEventListener("timeupdate", () => {
    byId("now").textContent = clock(audio.currentTime);
    if (audio.duration) seek.value = audio.currentTime / audio.duration;
    mark();
  });
  play.addEventListener("click", () => begin(playing));
  seek.addEventListener("input", () => { if (audio.duration) audio.currentTime = seek.value * audio.duration; });
  search.addEventListener("input", choose);
  sort.addEventListener("change", choose);
  turn.addEventListener("click", () => { down = !down; choose(); });
  addEventListener("scroll", () => draw(), { passive: true });
  addEventListener("resize", () => draw(true));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").hidden = byId("player").hidden = false;
  let top = ""; // where there is something to choose
  while (below.get(top)?.size === 1 && !holding.has(top)) top = joined(top, [...below.get(top).keys()][0]);
  go(top);
})();
