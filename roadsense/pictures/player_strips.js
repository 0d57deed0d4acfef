// Figures over time, below the road.
class Strips {  // figures over time, below the road
  constructor(data) {
    this.data = data;
    this.rows = data.senders.length;
  }

  height() {
    const radio = this.rows ? this.rows * RADIO_ROW_PX + GAP_PX + 4 : 0;
    return this.data.strips.length * (STRIP_PX + GAP_PX) + radio + 18;
  }

  draw(ctx, width, top, time) {
    ctx.fillStyle = COLOURS.paper;
    ctx.fillRect(0, top, width, this.height());
    this.left = LABEL_PX;
    this.right = width - 58;
    let y = top + GAP_PX;
    for (const strip of this.data.strips) {
      this.drawStrip(ctx, strip, y, time);
      y += STRIP_PX + GAP_PX;
    }
    if (this.rows) y = this.drawRadio(ctx, y) + GAP_PX;
    this.drawAxis(ctx, y, top, time);
  }

  x(time) { return this.left + (this.right - this.left) * time / this.data.end_s; }

  timeAt(x) { return Math.max(0, Math.min(1, (x - this.left) / (this.right - this.left))) * this.data.end_s; }

  drawStrip(ctx, strip, y, time) {
    const { low, high } = strip, at = v => y + STRIP_PX * (1 - (Math.min(Math.max(v, low), high) - low) / (high - low));
    ctx.fillStyle = "rgba(213,94,0,.13)";
    for (const [from, to] of this.data.hazard) ctx.fillRect(this.x(from), y, Math.max(this.x(to) - this.x(from), 1), STRIP_PX);
    ctx.strokeStyle = COLOURS.grid;
    ctx.lineWidth = 1;
    ctx.strokeRect(this.left + 0.5, y + 0.5, this.right - this.left, STRIP_PX);
    if (strip.mark !== undefined) this.line(ctx, [[this.left, at(strip.mark)], [this.right, at(strip.mark)]], COLOURS.lost, [2, 3], 1);
    for (const own of strip.lines) {
      const leaves = v => v === null || (strip.open && v > high);  // the line leaves the frame
      const points = own.values.map((v, row) => leaves(v) ? null : [this.x(row * this.data.step_s), at(v)]);
      this.line(ctx, points, COLOURS[NAMES[own.colour]], own.dash ? [4, 3] : [], own.dash ? 1.2 : 1.8);
    }
    ctx.fillStyle = COLOURS.ink;
    ctx.font = "11px sans-serif";
    ctx.fillText(strip.label, 6, y + 13);
    ctx.fillStyle = COLOURS.leader;
    ctx.font = "10px sans-serif";
    if (strip.note) ctx.fillText(strip.note, 6, y + 27);
    ctx.fillText(`${low}–${high}`, 6, y + 41);
    const row = Math.min(Math.round(time / this.data.step_s), this.data.n_rows - 1), now = strip.lines[0].values[row];
    ctx.fillStyle = COLOURS.ink;
    ctx.font = "bold 11px sans-serif";
    ctx.fillText(now === null ? "none" : now >= high && strip.open ? `> ${high}` : now.toFixed(strip.digits), this.right + 6, y + STRIP_PX / 2 + 4);
  }

  line(ctx, points, colour, dash, width) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.setLineDash(dash);
    ctx.beginPath();
    let isDown = false;
    for (const point of points) {
      if (point === null) { isDown = false; continue; }
      isDown ? ctx.lineTo(...point) : ctx.moveTo(...point);
      isDown = true;
    }
    ctx.stroke();
    ctx.setLineDash([]);
  }

  drawRadio(ctx, y) {
    const { messages, senders, step_s, vehicles } = this.data, wide = Math.max(1, this.x(step_s) - this.x(0));
    ctx.font = "10px sans-serif";
    senders.forEach((sender, row) => {
      const place = y + row * RADIO_ROW_PX;
      ctx.fillStyle = COLOURS.ink;
      ctx.fillText(row ? `car ${vehicles[sender].tag}` : `radio: car ${vehicles[sender].tag}`, 6, place + 8);
    });
    const rowOf = new Map(senders.map((sender, row) => [sender, row]));
    messages.sender.forEach((sender, k) => {
      if (!rowOf.has(sender)) return;
      const place = y + rowOf.get(sender) * RADIO_ROW_PX, heard = messages.heard[k] >= 0;
      ctx.fillStyle = heard ? COLOURS.heard : COLOURS.lost;
      ctx.fillRect(this.x(messages.sent[k] * step_s), heard ? place + 1 : place + 4, wide, heard ? 8 : 3);
    });
    ctx.fillStyle = COLOURS.heard;
    ctx.fillText("heard", this.right + 6, y + 8);
    ctx.fillStyle = COLOURS.lost;
    ctx.fillText("lost", this.right + 6, y + 18);
    return y + senders.length * RADIO_ROW_PX;
  }

  drawAxis(ctx, y, top, time) {
    ctx.fillStyle = COLOURS.ink;
    ctx.font = "10px sans-serif";
    ctx.textAlign = "center";
    const step = this.data.end_s > 25 ? 10 : this.data.end_s > 8 ? 5 : 1;
    for (let t = 0; t <= this.data.end_s + 1e-6; t += step) ctx.fillText(`${t} s`, this.x(t), y + 8);
    ctx.textAlign = "left";
    const { collision } = this.data;
    if (collision) this.line(ctx, [[this.x(collision.time_s), top + 2], [this.x(collision.time_s), y - 2]], COLOURS.struck, [5, 3], 1.5);
    ctx.strokeStyle = COLOURS.ink;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(this.x(time), top + 2);
    ctx.lineTo(this.x(time), y - 2);
    ctx.stroke();
  }
}
