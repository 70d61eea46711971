"use strict";
// Draws the run that stands in #data on one canvas: price with fills above, equity below, one time axis.
// All state is the span of time in view; every event changes that and asks for one redraw.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const unpack = (text) => new Float64Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const series = (packed) => { const low = unpack(packed[0]); return { low, high: packed[1] ? unpack(packed[1]) : low }; };
  const time = unpack(data.time), price = series(data.price), equity = series(data.equity);
  const count = time.length;
  const trades = data.trades.map(([t0, p0, t1, p1, size, net, pct, whyIn, whyOut]) => ({ t0, p0, t1, p1, size, net, pct, whyIn, whyOut }));
  const byId = (id) => document.getElementById(id);
  const canvas = byId("chart"), ctx = canvas.getContext("2d"), tip = byId("tip");
  const step = count > 1 ? (data.end - time[0]) / Math.max(1, data.bars - 1) : 60000;
  const first = (count ? time[0] : 0) - step, last = data.end + step;
  const view = { from: first, to: last };
  let marks = [], pointer = null, frame = 0, area = null;

  // --- numbers and times as text ---
  const decimalsOf = (unit) => { let d = 0; while (d < 14 && Math.abs(unit * 10 ** d - Math.round(unit * 10 ** d)) > 1e-6 * unit * 10 ** d) d++; return d; };
  const fixed = (value, d) => value.toLocaleString("en-US", { minimumFractionDigits: d, maximumFractionDigits: d });
  const exact = (value, digits = 8) => Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumFractionDigits: 14 });
  const signed = (value, text) => (value > 0 ? "+" : "") + text;
  const two = (n) => String(n).padStart(2, "0");
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const stamp = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  const span = (ms) => {
    const minutes = Math.round(ms / 60000), d = Math.floor(minutes / 1440), h = Math.floor(minutes / 60) % 24, m = minutes % 60;
    return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : `${m} min`;
  };

  // --- axes ---
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const STEPS = [1, 5, 15, 30].map((n) => n * SECOND).concat([1, 2, 5, 10, 15, 30].map((n) => n * MINUTE), [1, 2, 3, 6, 12].map((n) => n * HOUR), [1, 2, 4, 7, 14].map((n) => n * DAY));
  const timeTicks = (from, to, room) => {
    const wanted = (to - from) / Math.max(1, room), size = STEPS.find((s) => s >= wanted);
    const ticks = [];
    if (size) {
      for (let t = Math.ceil(from / size) * size; t <= to; t += size) ticks.push([t, dayOrClock(t)]);
      return ticks;
    }
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find((m) => m * 30 * DAY >= wanted) || 240;
    const start = new Date(from);
    for (let m = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months; ; m += months) {
      const t = Date.UTC(Math.floor(m / 12), m % 12, 1);
      if (t > to) return ticks;
      if (t >= from) ticks.push([t, m % 12 ? MONTHS[m % 12] : String(Math.floor(m / 12))]);
    }
  };
  const dayOrClock = (t) => {
    const at = new Date(t);
    if (t % DAY === 0) return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}` + (t % MINUTE ? `:${two(at.getUTCSeconds())}` : "");
  };
  const valueTicks = (low, high, room) => {
    const raw = (high - low) / Math.max(1, room), power = 10 ** Math.floor(Math.log10(raw));
    const unit = [1, 2, 2.5, 5, 10].find((n) => n * power >= raw * 0.999) * power, d = decimalsOf(unit), ticks = [];
    for (let n = Math.ceil(low / unit); n * unit <= high; n++) ticks.push([n * unit, fixed(n * unit || 0, d)]);
    return ticks;
  };

  // --- what is in view ---
  const firstAt = (t) => { let a = 0, b = count; while (a < b) { const m = (a + b) >> 1; if (time[m] < t) a = m + 1; else b = m; } return a; };
  const bounds = (line, from, to, extra) => {
    let low = Infinity, high = -Infinity;
    for (let i = from; i < to; i++) { if (line.low[i] < low) low = line.low[i]; if (line.high[i] > high) high = line.high[i]; }
    for (const value of extra) { low = Math.min(low, value); high = Math.max(high, value); }
    if (!(low <= high)) return [0, 1];
    const pad = (high - low) * 0.07 || Math.abs(high) * 0.001 || 1;
    return [low - pad, high + pad];
  };

  const schedule = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); };
  const draw = () => {
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1, css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue("--" + name).trim();
    const width = Math.max(200, box.width), height = Math.max(200, box.height);
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.font = "12px system-ui, sans-serif"; ctx.textBaseline = "middle"; ctx.lineJoin = "round";
    const a = Math.max(0, firstAt(view.from) - 1), b = Math.min(count, firstAt(view.to) + 1);
    const seen = trades.filter((t) => t.t1 >= view.from && t.t0 <= view.to);
    const fills = seen.flatMap((t) => [[t.t0, t.p0], [t.t1, t.p1]]).filter(([t]) => t >= view.from && t <= view.to).map(([, value]) => value);
    const gap = 26, foot = 22, top = 20, upper = Math.round((height - top - gap - foot) * 0.66), lower = height - top - gap - foot - upper;
    const panels = [
      { name: "Price", line: price, color: color("price"), top, height: upper, bounds: bounds(price, a, b, fills) },
      { name: "Equity", line: equity, color: color("equity"), top: top + upper + gap, height: lower, bounds: bounds(equity, a, b, []) },
    ];
    for (const panel of panels) {
      panel.ticks = valueTicks(...panel.bounds, Math.max(2, panel.height / 46));
      panel.y = (value) => panel.top + panel.height * (1 - (value - panel.bounds[0]) / (panel.bounds[1] - panel.bounds[0]));
    }
    const axis = Math.ceil(Math.max(...panels.flatMap((p) => p.ticks.map(([, text]) => ctx.measureText(text).width)), 30)) + 10;
    const plot = width - axis, x = (t) => ((t - view.from) / (view.to - view.from)) * plot;
    area = { plot, panels, x, height, bottom: height - foot };
    const ticks = timeTicks(view.from, view.to, plot / 84);

    for (const panel of panels) {
      ctx.lineWidth = 1; ctx.strokeStyle = color("grid"); ctx.fillStyle = color("soft"); ctx.textAlign = "left";
      ctx.beginPath();
      for (const [value] of panel.ticks) { const y = Math.round(panel.y(value)) + 0.5; ctx.moveTo(0, y); ctx.lineTo(plot, y); }
      for (const [t] of ticks) { const at = Math.round(x(t)) + 0.5; ctx.moveTo(at, panel.top); ctx.lineTo(at, panel.top + panel.height); }
      ctx.stroke();
      for (const [value, text] of panel.ticks) ctx.fillText(text, plot + 6, panel.y(value));
      ctx.fillStyle = panel.color; ctx.font = "600 12px system-ui, sans-serif";
      ctx.fillText(panel.name, 2, panel.top - 10);
      ctx.font = "12px system-ui, sans-serif";
      ctx.save(); ctx.beginPath(); ctx.rect(0, panel.top, plot, panel.height); ctx.clip();
      if (panel.line === equity) shadeFalls(panel, a, b, x, color("fall"));
      ctx.strokeStyle = panel.color; ctx.lineWidth = 1.4;
      trace(panel.line, a, b, x, panel.y);
      ctx.restore();
    }
    ctx.fillStyle = color("soft"); ctx.textAlign = "center";
    for (const [t, text] of ticks) {
      const half = ctx.measureText(text).width / 2;
      if (x(t) >= half && x(t) <= plot - half + 8) ctx.fillText(text, x(t), height - foot / 2);
    }
    const room = Math.floor(plot / 8), drawn = seen.length > 2 * room ? extreme(room) : seen;
    marks = drawTrades(drawn, panels[0], x, plot, color);
    byId("range").textContent = count ? `${stamp(Math.max(view.from, time[0]))} to ${stamp(Math.min(view.to, data.end))} · ${fixed(seen.length, 0)} of ${fixed(trades.length, 0)} trades${drawn.length < seen.length ? `, marked: the ${room} best and worst` : ""}` : "no bars";
    drawPointer(color);
  };

  // One vertical stroke a pixel column where bars are denser than pixels: extremes are never lost.
  const trace = (line, a, b, x, y) => {
    ctx.beginPath();
    let column = NaN, low = 0, high = 0, end = 0;
    const flush = () => { ctx.lineTo(column, y(low)); ctx.lineTo(column, y(high)); ctx.lineTo(column, y(end)); };
    const dense = b - a > area.plot;
    for (let i = a; i < b; i++) {
      const at = dense ? Math.round(x(time[i])) : x(time[i]);
      if (at === column) { low = Math.min(low, line.low[i]); high = Math.max(high, line.high[i]); end = line.high[i]; continue; }
      if (column === column) flush();
      column = at; low = line.low[i]; high = end = line.high[i];
      ctx.lineTo(at, y(low));
    }
    if (column === column) flush();
    ctx.stroke();
  };
  // Between equity and its highest value so far.
  const peaks = new Float64Array(count);
  for (let i = 0, peak = data.opening; i < count; i++) { peak = Math.max(peak, equity.high[i]); peaks[i] = peak; }
  const shadeFalls = (panel, a, b, x, fill) => {
    if (b <= a) return;
    const every = Math.max(1, Math.floor((b - a) / (2 * area.plot)));
    ctx.beginPath();
    for (let i = a; i < b; i += every) ctx.lineTo(x(time[i]), panel.y(peaks[i]));
    for (let i = b - 1; i >= a; i -= every) ctx.lineTo(x(time[i]), panel.y(equity.low[i]));
    ctx.fillStyle = fill; ctx.fill();
  };

  // More marks than there is room for would hide the price: the best and the worst stay, zooming in brings the others.
  const ranked = [...trades].sort((one, other) => one.pct - other.pct);
  const extreme = (half) => {
    const inView = ranked.filter((t) => t.t1 >= view.from && t.t0 <= view.to);
    return inView.slice(0, half).concat(inView.slice(-half));
  };
  const drawTrades = (seen, panel, x, plot, color) => {
    const size = Math.max(2.5, Math.min(6, plot / Math.max(1, seen.length) / 2.5)), found = [];
    ctx.save(); ctx.beginPath(); ctx.rect(0, panel.top - 8, plot, panel.height + 16); ctx.clip();
    const mark = (t, value, up, name, trade) => {
      const at = x(t), y = panel.y(value), sign = up ? 1 : -1;
      if (at < -size || at > plot + size) return;
      ctx.fillStyle = color(name); ctx.strokeStyle = color("page"); ctx.lineWidth = 1;
      ctx.beginPath(); ctx.moveTo(at, y + sign * 2); ctx.lineTo(at - size, y + sign * (2 + 1.7 * size)); ctx.lineTo(at + size, y + sign * (2 + 1.7 * size)); ctx.closePath();
      if (size > 3.5) ctx.stroke();
      ctx.fill();
      found.push({ x: at, y: y + sign * (2 + size), trade, up });
    };
    ctx.lineWidth = 1.2; ctx.setLineDash([3, 3]);
    for (const t of seen) { ctx.strokeStyle = color(t.net >= 0 ? "won" : "lost"); ctx.beginPath(); ctx.moveTo(x(t.t0), panel.y(t.p0)); ctx.lineTo(x(t.t1), panel.y(t.p1)); ctx.stroke(); }
    ctx.setLineDash([]);
    for (const t of seen) { mark(t.t0, t.p0, true, "entry", t); mark(t.t1, t.p1, false, t.net >= 0 ? "won" : "lost", t); }
    if (data.open) mark(data.open.time, data.open.price, true, "entry", null);
    ctx.restore();
    return found;
  };

  // --- pointer: a crosshair, and what stands under it ---
  const nearest = (list, px, py, reach) => list.reduce((best, m) => { const d = Math.hypot(m.x - px, m.y - py); return d < best.d ? { d, m } : best; }, { d: reach, m: null }).m;
  const drawPointer = (color) => {
    tip.hidden = true;
    if (!pointer || pointer.x > area.plot || !count) return;
    const mark = nearest(marks, pointer.x, pointer.y, 14);
    const t = view.from + (pointer.x / area.plot) * (view.to - view.from), right = Math.min(count - 1, firstAt(t));
    const i = right > 0 && t - time[right - 1] < time[right] - t ? right - 1 : right;
    ctx.strokeStyle = color("soft"); ctx.lineWidth = 1; ctx.setLineDash([2, 3]);
    ctx.beginPath(); ctx.moveTo(Math.round(area.x(time[i])) + 0.5, area.panels[0].top); ctx.lineTo(Math.round(area.x(time[i])) + 0.5, area.bottom); ctx.stroke(); ctx.setLineDash([]);
    show(mark ? tradeLines(mark) : barLines(i), mark ? mark.x : area.x(time[i]), mark ? mark.y : pointer.y);
  };
  const both = (line, i) => (line.low[i] === line.high[i] ? exact(line.low[i]) : `${exact(line.low[i])} to ${exact(line.high[i])}`);
  const barLines = (i) => [["", stamp(time[i])], ["", `Price ${both(price, i)}`], ["", `Equity ${both(equity, i)}`]];
  const tradeLines = ({ trade, up }) => {
    if (!trade) return [["entry", "Entry, still open"], ["", stamp(data.open.time)], ["", `Bought ${exact(data.open.size)} at ${exact(data.open.price)}`], ["", data.open.why]];
    const result = ["", `Net ${signed(trade.net, exact(trade.net, 6))} (${signed(trade.pct, fixed(trade.pct, 2))} %) in ${span(trade.t1 - trade.t0)}`];
    if (up) return [["entry", trade.whyIn || "Entry"], ["", stamp(trade.t0)], ["", `Bought ${exact(trade.size)} at ${exact(trade.p0)}`], result];
    return [[trade.net >= 0 ? "won" : "lost", `Exit: ${trade.whyOut}`], ["", stamp(trade.t1)], ["", `Sold ${exact(trade.size)} at ${exact(trade.p1)}`], result];
  };
  const show = (lines, px, py) => {
    tip.replaceChildren(...lines.map(([kind, text], i) => { const line = document.createElement(i ? "div" : "b"); line.textContent = text; if (kind) line.className = kind; return line; }));
    tip.hidden = false;
    const room = canvas.getBoundingClientRect();
    tip.style.left = `${Math.max(0, px + 14 + tip.offsetWidth > room.width ? px - tip.offsetWidth - 14 : px + 14)}px`;
    tip.style.top = `${Math.max(0, Math.min(py - 10, room.height - tip.offsetHeight))}px`;
  };

  // --- moving about ---
  const look = (from, to) => {
    const least = Math.min(last - first, 8 * step), wide = Math.min(last - first, Math.max(least, to - from));
    view.from = Math.max(first, Math.min(last - wide, (from + to) / 2 - wide / 2)); view.to = view.from + wide;
    schedule();
  };
  const zoom = (factor, px) => {
    const at = view.from + (px / area.plot) * (view.to - view.from);
    look(at - (at - view.from) * factor, at + (view.to - at) * factor);
  };
  const pan = (px) => { const by = (px / area.plot) * (view.to - view.from); look(view.from + by, view.to + by); };
  const place = (event) => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
  const fingers = new Map();
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004), Math.min(area.plot, place(event).x)); }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, place(event)); });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId), now = place(event);
    if (before && fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      zoom(Math.max(8, Math.abs(before.x - other.x)) / Math.max(8, Math.abs(now.x - other.x)), (now.x + other.x) / 2);
    } else if (before) pan(before.x - now.x);
    if (before) fingers.set(event.pointerId, now);
    pointer = now; schedule();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { pointer = null; schedule(); });
  canvas.addEventListener("dblclick", () => look(first, last));
  canvas.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: () => pan(-area.plot / 8), ArrowRight: () => pan(area.plot / 8), "+": () => zoom(0.7, area.plot / 2), "=": () => zoom(0.7, area.plot / 2), "-": () => zoom(1.4, area.plot / 2), "0": () => look(first, last) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  byId("reset").addEventListener("click", () => look(first, last));
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark"; schedule();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);
  new ResizeObserver(draw).observe(byId("stage"));  // at once: a frame later the old picture would be seen stretched

  // --- the list of trades; a click shows the trade ---
  const MOST = 1000, list = byId("list"), shown = trades.slice(-MOST);
  list.hidden = !trades.length;
  list.querySelector("summary").textContent = shown.length < trades.length ? `Trades (the last ${MOST} of ${trades.length})` : `Trades (${trades.length})`;
  list.addEventListener("toggle", () => {
    const body = list.querySelector("tbody");
    if (body.childElementCount) return;
    for (const t of shown) {
      const row = body.insertRow();
      for (const text of [stamp(t.t0), exact(t.p0), stamp(t.t1), exact(t.p1), exact(t.size), signed(t.net, exact(t.net, 6)), `${signed(t.pct, fixed(t.pct, 2))} %`, t.whyOut]) row.insertCell().textContent = text;
      row.cells[5].className = row.cells[6].className = t.net >= 0 ? "won" : "lost";
      row.addEventListener("click", () => { const around = Math.max(20 * step, 2 * (t.t1 - t.t0)); look(t.t0 - around, t.t1 + around); canvas.scrollIntoView({ block: "center" }); });
    }
  });
  schedule();
})();
