// Hold the dashboards against Grafana's own type of a dashboard (@grafana/schema): npm run check
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const charts = join(here, "../../charts/tradingbot-operator/monitoring");
// Enumerations of strings are written as their strings in JSON; all else is as the type says.
const loose =
  "type Loose<T> = T extends (infer U)[] ? Loose<U>[] : T extends object ? {[K in keyof T]: Loose<T[K]>} : T extends string ? (string extends T ? string : `${T}`) : T extends number ? number : T;";
const type = 'import type {Dashboard} from "./node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";';
const files = readdirSync(charts).filter((name) => name.endsWith(".json"));
const checked = files.map((name) => join(here, `${name}.check.ts`));
try {
  files.forEach((name, index) => {
    writeFileSync(checked[index], `${type}\n${loose}\nexport const it: Loose<Dashboard> = ${readFileSync(join(charts, name), "utf8")};\n`);
  });
  const words = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022"];
  execFileSync(join(here, "node_modules/.bin/tsc"), [...words, ...checked], { stdio: "inherit" });
  console.log(`${files.join(", ")}: as Grafana's schema wants them`);
} finally {
  checked.forEach((path) => rmSync(path, { force: true }));
}
