(function () {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const audio = byId("audio"), play = byId("play"), seek = byId("seek"), head = byId("head"), zoom = byId("zoom");
  const player = byId("player"), told = JSON.parse(byId("data").textContent), trouble = byId("trouble");
  const length = Number(seek.getAttribute("aria-valuemax")) || 1;
  const pairs = Int8Array.from(atob(told.pairs), (c) => c.charCodeAt(0));
  const WINDOW_S = 12, AHEAD_S = 0.15;
  let at = 0, sound = null, clicked = 0;

  const bars = new Set(told.downbeats);
  function firstFrom(times, from) { // the index of the first time at or after
    let low = 0, high = times.length;
    while (low < high) { const middle = (low + high) >> 1; if (times[middle] < from) low = middle + 1; else high = middle; }
    return low;
  }

  // The strip around the position, where beats are far enough apart to be seen.
  function draw() {
    const ratio = devicePixelRatio || 1, width = zoom.clientWidth * ratio, height = zoom.clientHeight * ratio;
    if (!width) return;
    if (zoom.width !== width || zoom.height !== height) { zoom.width = width; zoom.height = height; }
    const pen = zoom.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    const from = Math.max(0, Math.min(at - WINDOW_S / 3, length - WINDOW_S)), scale = width / WINDOW_S, tall = 0.5 / told.highest;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("--wave");
    const first = Math.max(0, Math.floor(from / told.seconds_per_pair));
    const last = Math.min(pairs.length / 2, Math.ceil((from + WINDOW_S) / told.seconds_per_pair));
    for (let n = first; n < last; n += 1) {
      const x = (n * told.seconds_per_pair - from) * scale, top = height * (0.5 - pairs[2 * n + 1] * tall);
      pen.fillRect(x, top, Math.max(1, told.seconds_per_pair * scale), Math.max(1, height * (pairs[2 * n + 1] - pairs[2 * n]) * tall));
    }
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    for (let n = firstFrom(told.beats, from); n < told.beats.length && told.beats[n] < from + WINDOW_S; n += 1) {
      const beat = told.beats[n], x = (beat - from) * scale, bar = bars.has(beat);
      pen.fillStyle = colour(bar ? "--second" : "--soft");
      pen.fillRect(x, bar ? 0 : height * 0.2, (bar ? 2 : 1) * ratio, bar ? height : height * 0.6);
      if (bar) { pen.fillStyle = colour("--ink"); pen.fillText(String(firstFrom(told.downbeats, beat) + 1), x + 4 * ratio, 12 * ratio); }
    }
    pen.fillStyle = colour("--accent");
    pen.fillRect((at - from) * scale - ratio, 0, 2 * ratio, height);
  }
  function show() {
    head.style.left = `${100 * at / length}%`;
    byId("now").textContent = clock(at);
    seek.setAttribute("aria-valuenow", at.toFixed(1));
    seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(length)}`);
    draw();
  }
  function go(to) {
    at = Math.max(0, Math.min(length - 0.05, to));
    clicked = firstFrom(told.beats, at);
    if (audio.src) audio.currentTime = at;
    show();
  }

  // Clicks are set a little ahead on the sound card's own clock.
  function click() {
    if (!byId("clicks").checked) return;
    sound ??= new AudioContext();
    const now = audio.currentTime;
    clicked = Math.max(clicked, firstFrom(told.beats, now));
    for (; clicked < told.beats.length && told.beats[clicked] < now + AHEAD_S; clicked += 1) {
      const tone = sound.createOscillator(), fade = sound.createGain();
      const when = sound.currentTime + told.beats[clicked] - now;
      tone.frequency.value = bars.has(told.beats[clicked]) ? 1760 : 1175;
      fade.gain.setValueAtTime(0.4, when);
      fade.gain.exponentialRampToValueAtTime(0.001, when + 0.05);
      tone.connect(fade).connect(sound.destination);
      tone.start(when);
      tone.stop(when + 0.06);
    }
  }
  function follow() {
    if (audio.paused) return;
    at = Math.min(audio.currentTime, length);
    click();
    show();
    requestAnimationFrame(follow);
  }
  function toggle() {
    if (!audio.src) { byId("pick").click(); return; }
    if (!audio.paused) { audio.pause(); return; }
    sound?.resume();
    audio.play().catch((error) => { if (error.name !== "AbortError") fail(); });
  }
  function fail() { trouble.textContent = "This browser cannot play that file."; }
  function take(file) {
    if (!file) return;
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(file);
    audio.currentTime = at;
    play.disabled = false;
    trouble.textContent = file.size === Number(player.dataset.bytes) ? `Playing ${file.name}.`
      : `${file.name} has another size than the song that was analysed: beats may not lie on it.`;
  }

  byId("panel").hidden = false;
  play.addEventListener("click", toggle);
  audio.addEventListener("play", () => { play.textContent = "Pause"; clicked = firstFrom(told.beats, audio.currentTime); follow(); });
  audio.addEventListener("pause", () => { play.textContent = "Play"; show(); });
  audio.addEventListener("error", fail);
  byId("pick").addEventListener("change", (event) => take(event.target.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    player.addEventListener(kind, (event) => {
      event.preventDefault();
      player.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files[0]);
    });
  }
  const pointed = (event) => { const box = seek.getBoundingClientRect(); go(length * (event.clientX - box.left) / box.width); };
  seek.addEventListener("pointerdown", (event) => { seek.setPointerCapture(event.pointerId); pointed(event); });
  seek.addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
  seek.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageUp: 30, PageDown: -30 }[event.key];
    if (step) go(at + step);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(length);
    else if (event.key === " " || event.key === "Enter") toggle();
    else return;
    event.preventDefault();
  });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show();
}());
