// The road from above. Of the three parts of the player, this comes first.
"use strict";

const LIGHT = {
  ground: "#e9ede4", asphalt: "#6b7177", line: "#c7cbc8", ink: "#2b3036", paper: "white", convoy: "#ff7f0e", tag: "#b34700",
  heard: "#0072b2", lost: "#d55e00", leader: "#8c8c8c", grid: "#e4e4e4", struck: "#cc0000",
};
const DARK = {
  ...LIGHT, ground: "#1d231c", asphalt: "#50565c", line: "#7b8187", ink: "#e3e6e8", paper: "#111", heard: "#56b4e9",
  lost: "#ff8c42", leader: "#a9afb5", grid: "#3a3f44", struck: "#ff5a5a",
};
const NAMES = { "#0072b2": "heard", "#d55e00": "lost", "#8c8c8c": "leader" };  // lines have the light theme's colours
let COLOURS = LIGHT;

function followTheme(redraw) {
  // JupyterLab says its theme on the body around this frame; elsewhere the browser's own is followed.
  let lab = null;
  try { lab = window.parent !== window && "jpThemeLight" in window.parent.document.body.dataset ? window.parent.document.body : null; } catch { lab = null; }
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const isDark = lab ? lab.dataset.jpThemeLight === "false" : wish.matches;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    COLOURS = isDark ? DARK : LIGHT;
    redraw();
  };
  if (lab) new MutationObserver(apply).observe(lab, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  else wish.addEventListener("change", apply);
  apply();
}

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const FLASH_S = 0.35;  // how long a message stays in the picture
const MARKED_S = 1;  // the other car of a collision is marked from this long before it
const LABEL_PX = 92, STRIP_PX = 46, RADIO_ROW_PX = 11, GAP_PX = 8;

function unpack(text, Kind) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function decode(data) {
  const n = data.vehicles.length, rows = data.n_rows;
  const table = name => unpack(data[name], Int16Array);
  const x = table("x"), y = table("y"), heading = table("heading"), speed = table("speed");
  const absent = data.absent;
  return {
    n, rows,
    isHere: (row, car) => x[row * n + car] !== absent,
    state: (row, car) => {
      const k = row * n + car;
      return [data.x0 + x[k] * data.metre, data.y0 + y[k] * data.metre, heading[k] * data.radian, speed[k] * data.mps];
    },
  };
}

function between(cars, time, step) {
  // Where everybody is at a time: between two rows of the recording, along the shorter way round for headings.
  const row = Math.min(Math.floor(time / step + 1e-6), cars.rows - 1), next = Math.min(row + 1, cars.rows - 1);
  const share = Math.min(Math.max(time / step - row, 0), 1), found = [];
  for (let car = 0; car < cars.n; car++) {
    if (!cars.isHere(row, car)) continue;
    const here = cars.state(row, car);
    if (cars.isHere(next, car)) {
      const there = cars.state(next, car);
      let turn = there[2] - here[2];
      turn -= 2 * Math.PI * Math.round(turn / (2 * Math.PI));
      for (const k of [0, 1, 3]) here[k] += (there[k] - here[k]) * share;
      here[2] += turn * share;
    }
    found.push([car, ...here]);
  }
  return found;
}

function roadPaths(data) {
  const lanes = new Map();
  data.lanes.forEach((line, place) => {
    const width = data.lane_width_m[place];
    if (!lanes.has(width)) lanes.set(width, new Path2D());
    trace(lanes.get(width), line, false);
  });
  const junctions = new Path2D();
  data.junctions.forEach(line => trace(junctions, line, true));
  return { lanes, junctions };
}

function trace(path, line, closed) {
  for (let k = 0; k < line.length; k += 2) k ? path.lineTo(line[k], line[k + 1]) : path.moveTo(line[k], line[k + 1]);
  if (closed) path.closePath();
}

function speedColour(share) {
  const at = Math.max(0, Math.min(0.999, share)) * (VIRIDIS.length - 1), k = Math.floor(at);
  return `rgb(${VIRIDIS[k].map((c, i) => Math.round(c + (VIRIDIS[k + 1][i] - c) * (at - k)))})`;
}

class Scene {  // the road from above
  constructor(data, cars) {
    this.data = data;
    this.cars = cars;
    this.road = roadPaths(data);
    this.metresWide = 220;
    this.centre = null;
    this.follows = true;
    this.bySender = new Map();
    data.messages.sender.forEach((sender, k) => {
      if (!this.bySender.has(sender)) this.bySender.set(sender, []);
      this.bySender.get(sender).push(k);
    });
  }

  draw(ctx, width, height, time) {
    const found = between(this.cars, time, this.data.step_s), convoy = found.filter(c => this.data.convoy.includes(c[0]));
    this.aim(convoy.length ? convoy : found, width);
    const scale = width / this.metresWide;
    ctx.fillStyle = COLOURS.ground;
    ctx.fillRect(0, 0, width, height);
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, 0, width, height);
    ctx.clip();
    ctx.translate(width / 2, height / 2);
    ctx.scale(scale, -scale);
    ctx.translate(-this.centre[0], -this.centre[1]);
    this.drawRoad(ctx);
    for (const car of found) this.drawCar(ctx, car, scale);
    ctx.restore();
    const place = ([x, y]) => [(x - this.centre[0]) * scale + width / 2, height / 2 - (y - this.centre[1]) * scale];
    const places = new Map(found.map(car => [car[0], place(this.middle(car))]));
    this.drawMessages(ctx, places, time);
    this.drawCollision(ctx, places, time);
    this.drawTags(ctx, found, places, scale);
    this.drawScale(ctx, height, scale);
    return found;
  }

  aim(cars, width) {
    if (!cars.length) { this.centre = this.centre || [0, 0]; return; }
    if (!this.follows && this.centre) return;
    const xs = cars.map(c => c[1]), ys = cars.map(c => c[2]), mid = v => (Math.min(...v) + Math.max(...v)) / 2;
    const reach = Math.max(Math.max(...xs) - Math.min(...xs), 3 * (Math.max(...ys) - Math.min(...ys)));
    const ego = cars.find(c => c[0] === this.data.ego) || cars[0];
    const far = reach > 420;  // a convoy that came apart: stay with the ego
    this.centre = far ? [ego[1], ego[2]] : [mid(xs), mid(ys)];
    if (!this.zoomed) this.metresWide = Math.max(160, Math.min(far ? 220 : reach + 70, 480));
  }

  drawRoad(ctx) {
    ctx.lineJoin = "round";
    for (const [edge, colour] of [[0.1, COLOURS.line], [-0.12, COLOURS.asphalt]]) {
      for (const [width, path] of this.road.lanes) {
        ctx.lineWidth = width + edge;
        ctx.strokeStyle = colour;
        ctx.stroke(path);
      }
    }
    ctx.fillStyle = COLOURS.asphalt;
    ctx.fill(this.road.junctions);
  }

  middle([car, x, y, heading]) {
    const half = this.data.vehicles[car].length_m / 2;
    return [x - Math.cos(heading) * half, y - Math.sin(heading) * half];
  }

  drawCar(ctx, [car, x, y, heading, speed], scale) {
    const { length_m: long, width_m } = this.data.vehicles[car], wide = width_m * Math.max(1, 3.2 / (scale * width_m) * 1.6);
    const isConvoy = this.data.convoy.includes(car);
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(heading);
    ctx.fillStyle = isConvoy ? COLOURS.convoy : speedColour(speed / this.data.top_mps);
    ctx.strokeStyle = isConvoy ? "white" : COLOURS.ink;
    ctx.lineWidth = 1 / scale;
    ctx.beginPath();
    ctx.roundRect(-long, -wide / 2, long, wide, [wide * 0.15, wide * 0.4, wide * 0.4, wide * 0.15]);
    ctx.fill();
    ctx.stroke();
    ctx.fillStyle = "rgba(20,24,28,.55)";
    ctx.fillRect(-Math.min(2.1, long * 0.4), -wide * 0.38, Math.min(0.9, long * 0.18), wide * 0.76);
    ctx.restore();
  }

  drawMessages(ctx, places, time) {
    const { messages, ego, step_s } = this.data, to = places.get(ego);
    if (!to) return;
    for (const [sender, own] of this.bySender) {
      const from = places.get(sender);
      if (!from) continue;
      const last = lastBefore(messages.sent, own, time / step_s);
      if (last === null) continue;
      const heard = messages.heard[last], age = time - messages.sent[last] * step_s;
      if (age > FLASH_S) continue;
      const arrives = heard >= 0, bow = 14 + 10 * this.data.convoy.indexOf(sender);
      const mid = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2 - bow];
      ctx.globalAlpha = 1 - 0.7 * age / FLASH_S;
      ctx.strokeStyle = ctx.fillStyle = arrives ? COLOURS.heard : COLOURS.lost;
      ctx.lineWidth = 1.5;
      ctx.setLineDash(arrives ? [] : [3, 4]);
      ctx.beginPath();
      ctx.moveTo(...from);
      if (arrives) ctx.quadraticCurveTo(...mid, ...to);
      else ctx.quadraticCurveTo((from[0] + mid[0]) / 2, (from[1] + mid[1]) / 2, (from[0] + mid[0]) / 2 + (mid[0] - from[0]) / 4, mid[1] + bow / 2);
      ctx.stroke();
      ctx.setLineDash([]);
      if (!arrives) cross(ctx, (from[0] + mid[0]) / 2 + (mid[0] - from[0]) / 4, mid[1] + bow / 2);
      else { ctx.beginPath(); ctx.arc(...to, 3, 0, 7); ctx.fill(); }
      ctx.globalAlpha = 1;
    }
  }

  drawCollision(ctx, places, time) {  // who struck whom, from a second before it on
    const { collision, ego } = this.data;
    if (!collision || time < collision.time_s - MARKED_S) return;
    const at = places.get(collision.partner ?? ego);
    if (!at) return;
    ctx.strokeStyle = ctx.fillStyle = COLOURS.struck;
    ctx.lineWidth = 2.5;
    ctx.beginPath();
    ctx.arc(...at, 17, 0, 7);
    ctx.stroke();
    ctx.font = "bold 12px sans-serif";
    ctx.fillText(tellCollision(collision), at[0] + 22, at[1] + 30);
  }

  drawTags(ctx, found, places, scale) {
    ctx.font = "bold 11px sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (const [car, , , heading] of found) {
      if (!this.data.convoy.includes(car)) continue;
      const [x, y] = places.get(car), tx = x + Math.sin(heading) * 22, ty = y + Math.cos(heading) * 22;
      ctx.strokeStyle = ctx.fillStyle = COLOURS.tag;
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(tx, ty);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(tx, ty, 8.5, 0, 7);
      ctx.fill();
      ctx.fillStyle = "white";
      ctx.fillText(this.data.vehicles[car].tag, tx, ty + 0.5);
    }
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
  }

  drawScale(ctx, height, scale) {
    let metres = 100;
    while (metres * scale > 170) metres /= 2;
    while (metres * scale < 60) metres *= 2;
    ctx.fillStyle = COLOURS.ink;
    ctx.fillRect(14, height - 14, metres * scale, 3);
    ctx.font = "11px sans-serif";
    ctx.fillText(`${metres} m`, 14, height - 19);
  }
}

function tellCollision({ partner, was_struck }) {
  if (partner === null) return "collision";
  return was_struck ? "runs into the ego" : "the ego runs into it";
}

function lastBefore(sent, own, row) {
  let low = 0, high = own.length;
  while (low < high) { const k = (low + high) >> 1; sent[own[k]] <= row + 1e-6 ? low = k + 1 : high = k; }
  return low ? own[low - 1] : null;
}

function cross(ctx, x, y) {
  ctx.lineWidth = 2;
  ctx.beginPath();
  for (const s of [-1, 1]) { ctx.moveTo(x - 4, y - 4 * s); ctx.lineTo(x + 4, y + 4 * s); }
  ctx.stroke();
}
