// Draw one dashboard: ask Prometheus for what its panels ask for, bundle page.jsx with the answers, photograph it.
// node render.mjs PROMETHEUS-URL DASHBOARD.json PICTURE.png MINUTES BOT-ID
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [url, dashboardPath, picture, minutes, bot] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(dashboardPath, "utf8"));
const WIDTH = 1500;
const ROW = 38; // pixels of one unit of gridPos.h, as in Grafana: 30 and a gap of 8
const to = Math.floor(Date.now() / 1000);
const from = to - Math.round(Number(minutes) * 60);
const step = Math.max(1, Math.ceil((to - from) / 400));
const interval = `${Math.max(4, step + 1) < 30 ? 30 : step * 4}s`;

const filled = (expr) => expr.replaceAll("$__rate_interval", interval).replaceAll("$job", "tradingbot.*").replaceAll("$bot", bot);

async function ask(target) {
  const words = target.range ? `query_range?start=${from}&end=${to}&step=${step}&query=` : `query?time=${to}&query=`;
  const answer = await (await fetch(`${url}/api/v1/${words}${encodeURIComponent(filled(target.expr))}`)).json();
  if (answer.status !== "success") throw new Error(`${target.expr}: ${answer.error}`);
  return { refId: target.refId, legend: target.legendFormat, table: target.format === "table", type: answer.data.resultType, result: answer.data.result };
}

const answers = {};
for (const panel of dashboard.panels) {
  answers[panel.id] = await Promise.all((panel.targets ?? []).map(ask));
}
const height = Math.max(...dashboard.panels.map((panel) => panel.gridPos.y + panel.gridPos.h)) * ROW + 60;
const here = fileURLToPath(new URL(".", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "dashboard-"));
try {
  await build({
    entryPoints: [join(here, "page.jsx")],
    outfile: join(work, "page.js"),
    bundle: true,
    format: "iife",
    jsx: "automatic",
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"production"', global: "window", "process.env": "{}" },
    loader: { ".svg": "dataurl", ".woff2": "dataurl", ".png": "dataurl", ".ttf": "empty" },
  });
  const data = JSON.stringify({ dashboard, answers, from: from * 1000, to: to * 1000, step: step * 1000, width: WIDTH, row: ROW, bot });
  writeFileSync(join(work, "data.js"), `window.DRAWN = ${data};`);
  writeFileSync(
    join(work, "index.html"),
    '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><body><div id="root"></div><script src="data.js"></script><script src="page.js"></script></body>',
  );
  execFileSync("chromium", [
    "--headless=new", "--enable-logging=stderr", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files", "--virtual-time-budget=15000",
    `--window-size=${WIDTH},${height}`, `--user-data-dir=${join(work, "profile")}`, `--screenshot=${picture}`, `file://${join(work, "index.html")}`,
  ], { stdio: process.env.VERBOSE ? "inherit" : "ignore" });
  console.log(`${picture}: ${WIDTH} x ${height}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
