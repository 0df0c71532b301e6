(function () {
  "use strict";
  var audio = document.getElementById("audio"), play = document.getElementById("play");
  var seek = document.getElementById("seek"), heads = Array.from(document.querySelectorAll(".head"));
  var now = document.getElementById("now"), trouble = document.getElementById("trouble");
  var length = Number(seek.getAttribute("aria-valuemax"));
  var all = document.getElementById("all"), stems = Array.from(document.querySelectorAll("details"));

  function show() {
    var t = Math.min(audio.currentTime, length);
    heads.forEach(function (head) { head.style.left = (100 * t / length) + "%"; });
    now.textContent = clock(t);
    seek.setAttribute("aria-valuenow", t.toFixed(1));
    seek.setAttribute("aria-valuetext", clock(t) + " of " + clock(length));
  }
  function follow() {
    show();
    if (!audio.paused) { requestAnimationFrame(follow); }
  }
  function go(t) {
    audio.currentTime = Math.max(0, Math.min(length - 0.05, t));
    show();
  }
  function fail() {
    trouble.textContent = "This browser cannot play the copy: open " + trouble.dataset.beside + " in a player.";
  }
  function toggle() {
    if (!audio.paused) { audio.pause(); return; }
    audio.play().catch(function (error) { if (error.name !== "AbortError") { fail(); } });
  }
  function at(event) {
    var box = event.currentTarget.getBoundingClientRect();
    go(length * (event.clientX - box.left) / box.width);
  }

  audio.controls = false;
  document.getElementById("panel").hidden = false;
  play.addEventListener("click", toggle);
  audio.addEventListener("play", function () { play.textContent = "Pause"; follow(); });
  audio.addEventListener("pause", function () { play.textContent = "Play"; show(); });
  audio.addEventListener("seeked", show);
  audio.lastElementChild.addEventListener("error", fail);
  [seek].concat(Array.from(document.querySelectorAll(".over"))).forEach(function (over) {
    over.addEventListener("pointerdown", function (event) { over.setPointerCapture(event.pointerId); at(event); });
    over.addEventListener("pointermove", function (event) { if (event.buttons) { at(event); } });
  });
  document.querySelectorAll(".mark").forEach(function (mark) {
    mark.addEventListener("click", function () { go(Math.max(0, Number(mark.dataset.at) - 2)); if (audio.paused) { toggle(); } });
  });
  // In an outbox the front page of the spool lies above; a mix by hand has none.
  document.getElementById("home").hidden = !/\/outbox\/[^/]+\/[^/]+\/[^/]+$/.test(location.pathname);
  seek.addEventListener("keydown", function (event) {
    var step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageUp: 30, PageDown: -30 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (step) { go(audio.currentTime + step); }
    else if (event.key === "Home") { go(0); }
    else if (event.key === "End") { go(length); }
    else if (event.key === " " || event.key === "Enter") { toggle(); }
    else { return; }
    event.preventDefault();
  });

  function name() {
    all.textContent = stems.every(function (stem) { return stem.open; }) ? "Close all" : "Open all";
  }
  all.hidden = false;
  all.addEventListener("click", function () {
    var open = all.textContent === "Open all";
    stems.forEach(function (stem) { stem.open = open; });
    name();
  });
  stems.forEach(function (stem) { stem.addEventListener("toggle", name); });

  var shut = [];
  addEventListener("beforeprint", function () {
    shut = stems.filter(function (stem) { return !stem.open; });
    stems.forEach(function (stem) { stem.open = true; });
  });
  addEventListener("afterprint", function () { shut.forEach(function (stem) { stem.open = false; }); });

  var copy = document.getElementById("copy");
  copy.hidden = false;
  copy.addEventListener("click", function () {
    getSelection().selectAllChildren(document.getElementById("sheet"));
    document.getElementById("copied").textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it by hand.";
  });
}());
