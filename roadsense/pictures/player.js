// The replay of one episode. `data` is what roadsense/pictures/player.py packs; no library, no server.
const WORDS_S = 1;

function say(data, time) {  // the moment in words, for those who can't see it
  const row = Math.min(Math.round(time / data.step_s), data.n_rows - 1), parts = [`${time.toFixed(1)} s`];
  for (const strip of data.strips) {
    const value = strip.lines[0].values[row];
    parts.push(`${strip.word} ${value === null ? "none" : `${value.toFixed(strip.digits)}${strip.unit}`}`);
  }
  const now = data.messages.sent.reduce((sum, sent, k) => {
    if (sent !== row) return sum;
    return [sum[0] + 1, sum[1] + (data.messages.heard[k] >= 0)];
  }, [0, 0]);
  if (now[0]) parts.push(`${now[1]} of ${now[0]} messages heard`);
  if (data.hazard.some(([from, to]) => time >= from && time <= to)) parts.push("hazard");
  if (data.collision && time >= data.collision.time_s - data.step_s / 2) {
    const { partner } = data.collision, name = partner === null ? "" : ` (${data.vehicles[partner].name})`;
    parts.push(`collision: ${tellCollision(data.collision)}${name}`);
  }
  return parts.join(", ");
}

function play(root, data) {
  const find = name => root.querySelector(`[data-part=${name}]`);
  const canvas = find("canvas"), ctx = canvas.getContext("2d"), bar = find("time"), clock = find("clock");
  const button = find("play"), rate = find("rate"), follow = find("follow"), words = find("words");
  const cars = decode(data), scene = new Scene(data, cars), strips = new Strips(data);
  let time = data.start_s, isOn = false, last = 0, told = -Infinity, width = 0, sceneHeight = 0;
  bar.max = data.end_s;
  bar.step = data.step_s;

  function fit() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    width = Math.max(canvas.parentElement.clientWidth, 320);
    sceneHeight = Math.round(Math.max(150, width * 0.24));
    canvas.width = width * ratio;
    canvas.height = (sceneHeight + strips.height()) * ratio;
    canvas.style.height = `${sceneHeight + strips.height()}px`;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
  }

  function draw() {
    const found = scene.draw(ctx, width, sceneHeight, time);
    strips.draw(ctx, width, sceneHeight, time);
    bar.value = time;
    clock.textContent = `${time.toFixed(1)} of ${data.end_s.toFixed(1)} s, ${found.length} vehicles`;
    root.dataset.time = time.toFixed(2);
    root.dataset.frames = Number(root.dataset.frames || 0) + 1;
    // While it plays, a new text every second is as much as can be read, or read out.
    if (!isOn || Math.abs(time - told) >= WORDS_S) { words.textContent = say(data, time); told = time; }
  }

  function move(to) {
    time = Math.max(0, Math.min(data.end_s, to));
    draw();
  }

  function tick(now) {
    if (!isOn) return;
    time += Math.max(0, Math.min(0.1, (now - last) / 1000)) * rate.value;  // a frame may be older than the click
    last = now;
    if (time >= data.end_s) { time = data.end_s; toggle(false); }
    draw();
    if (isOn) requestAnimationFrame(tick);
  }

  function toggle(to) {
    isOn = to;
    if (isOn && time >= data.end_s) time = 0;
    button.textContent = isOn ? "Pause" : "Play";
    last = performance.now();
    if (isOn) requestAnimationFrame(tick); else draw();
  }

  const keys = {
    " ": () => toggle(!isOn), k: () => toggle(!isOn), ArrowRight: () => move(time + data.step_s),
    ArrowLeft: () => move(time - data.step_s), ArrowUp: () => move(time + 1), ArrowDown: () => move(time - 1),
    Home: () => move(0), End: () => move(data.end_s), f: () => { follow.checked = !follow.checked; follow.onchange(); },
    c: () => move(data.critical_s), "+": () => zoom(0.8), "-": () => zoom(1.25),
  };
  function zoom(factor) {
    scene.zoomed = true;
    scene.metresWide = Math.max(40, Math.min(scene.metresWide * factor, 4000));
    draw();
  }
  document.addEventListener("keydown", event => {  // the page is the player's alone, also in a frame
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === rate || (event.key === " " && event.target.matches("button, input[type=checkbox]"))) return;
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  });
  button.onclick = () => toggle(!isOn);
  find("critical").onclick = () => move(data.critical_s);
  bar.oninput = () => move(Number(bar.value));
  follow.onchange = () => { scene.follows = follow.checked; draw(); };
  canvas.onpointerdown = event => {
    if (event.offsetY > sceneHeight) move(strips.timeAt(event.offsetX));
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = event => {
    if (!event.buttons) return;
    if (event.offsetY > sceneHeight) { move(strips.timeAt(event.offsetX)); return; }
    scene.follows = follow.checked = false;
    scene.centre[0] -= event.movementX * scene.metresWide / width;
    scene.centre[1] += event.movementY * scene.metresWide / width;
    draw();
  };
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;  // a page is scrolled by the wheel alone
    event.preventDefault();
    zoom(Math.exp(event.deltaY * 0.002));
  }, { passive: false });
  new ResizeObserver(fit).observe(canvas.parentElement);
  fit();
  followTheme(draw);
  root.dataset.ready = "true";
  if (data.plays && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) { move(0); toggle(true); }
}
