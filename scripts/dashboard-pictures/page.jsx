// One dashboard, drawn with Grafana's own components from answers of Prometheus that render.mjs put beside it.
import { createRoot } from "react-dom/client";
import "uplot/dist/uPlot.min.css";

// By require: their CommonJS builds know how to take other packages' default exports, the others leave that to a bundler.
const {
  FieldType, ThemeContext, createDataFrame, createTheme, dateTime, getDisplayProcessor, reduceField, standardTransformers,
  standardTransformersRegistry, transformDataFrame,
} = require("@grafana/data");
const { BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, GlobalStyles, PanelChrome, Table, TimeSeries } = require("@grafana/ui");

const { dashboard, answers, from, to, step, width, row, bot } = window.DRAWN;
const theme = createTheme({ colors: { mode: "dark" } });
const timeRange = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
const GAP = 8;
standardTransformersRegistry.setInit(() =>
  ["mergeTransformer", "organizeFieldsTransformer", "orderFieldsTransformer", "renameFieldsTransformer", "filterFieldsByNameTransformer"].map((name) => ({
    id: standardTransformers[name].id, name, transformation: standardTransformers[name],
  })),
);

function number(text) {
  return text === "NaN" ? null : Number(text);
}

function legend(format, labels, count) {
  if (format === "__auto") return count > 1 ? Object.values(labels).join(" ") : "";
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "");
}

// As Grafana's Prometheus data source does: a frame a series, with a null wherever a step has no sample.
function seriesFrames(found) {
  return found.flatMap((answer) =>
    answer.result.map((item) => {
      const at = new Map(item.values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
      const times = [];
      for (let time = from; time <= to; time += step) times.push(time);
      const name = legend(answer.legend, item.metric, answer.result.length) || "value";
      return createDataFrame({
        refId: answer.refId,
        name,
        fields: [
          { name: "Time", type: FieldType.time, values: times, config: {} },
          { name: "Value", type: FieldType.number, values: times.map((time) => at.get(time) ?? null), config: { displayNameFromDS: name }, labels: item.metric },
        ],
      });
    }),
  );
}

function tableFrames(found) {
  const several = found.length > 1;
  return found.filter((answer) => answer.result.length).map((answer) => {
    const names = [...new Set(answer.result.flatMap((item) => Object.keys(item.metric)))].sort();
    return createDataFrame({
      refId: answer.refId,
      fields: [
        { name: "Time", type: FieldType.time, values: answer.result.map(() => to), config: {} },
        ...names.map((name) => ({ name, type: FieldType.string, values: answer.result.map((item) => item.metric[name] ?? ""), config: {} })),
        { name: several ? `Value #${answer.refId}` : "Value", type: FieldType.number, values: answer.result.map((item) => number(item.value[1])), config: {} },
      ],
    });
  });
}

function numberFrames(found) {
  return found.flatMap((answer) => {
    const items = answer.type === "scalar" ? [{ metric: {}, value: answer.result }] : answer.result;
    return items.map((item) =>
      createDataFrame({ refId: answer.refId, fields: [{ name: "Value", type: FieldType.number, values: [number(item.value[1])], config: {} }] }),
    );
  });
}

// The part of Grafana's applyFieldOverrides that these dashboards use: defaults, then overrides by name.
function configured(frames, fieldConfig) {
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => {
      const config = structuredClone({ ...fieldConfig.defaults, ...field.config });
      if (field.type === FieldType.time) return { ...field, config: {}, display: getDisplayProcessor({ field, theme, timeZone: "utc" }) };
      const name = config.displayNameFromDS ?? field.config.displayName ?? field.name;
      for (const override of fieldConfig.overrides) {
        if (override.matcher.options !== name) continue;
        for (const { id, value } of override.properties) {
          if (id === "links") continue;
          if (id.startsWith("custom.")) config.custom = { ...config.custom, [id.slice(7)]: value };
          else config[id] = value;
        }
      }
      const done = { ...field, config, state: { ...field.state } };
      done.display = getDisplayProcessor({ field: done, theme, timeZone: "utc" });
      return done;
    }),
  }));
}

function TimeSeriesPanel({ panel, w, h }) {
  const frames = configured(seriesFrames(answers[panel.id]), panel.fieldConfig);
  frames.forEach((frame, index) => (frame.fields[1].state = { ...frame.fields[1].state, seriesIndex: index }));
  if (!frames.length) return <Nothing />;
  return <TimeSeries frames={frames} structureRev={1} width={w} height={h} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options} />;
}

function StatPanel({ panel, w, h }) {
  const frames = configured(numberFrames(answers[panel.id]), panel.fieldConfig);
  if (!frames.length) return <Nothing />;
  const field = frames[0].fields[0];
  const { graphMode, colorMode, justifyMode, textMode } = panel.options;
  const value = { ...field.display(reduceField({ field, reducers: ["lastNotNull"] }).lastNotNull), title: "" };
  return <BigValue width={w} height={h} value={value} theme={theme} graphMode={graphMode ?? BigValueGraphMode.None} colorMode={colorMode ?? BigValueColorMode.Value} justifyMode={justifyMode ?? BigValueJustifyMode.Auto} textMode={textMode ?? BigValueTextMode.Auto} />;
}

function useTransformed(panel) {
  const frames = tableFrames(answers[panel.id]);
  let done = [];
  transformDataFrame(panel.transformations ?? [], frames).subscribe((found) => (done = found));
  return done;
}

function TablePanel({ panel, w, h }) {
  const renamed = useTransformed(panel).map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => ({ ...field, name: field.config.displayName ?? field.name, config: {} })),
  }));
  const frames = configured(renamed, panel.fieldConfig);
  if (!frames.length || !frames[0].length) return <Nothing />;
  return <Table data={frames[0]} width={w} height={h} initialSortBy={panel.options.sortBy} cellHeight={panel.options.cellHeight} />;
}

function Nothing() {
  return <div style={{ display: "grid", placeItems: "center", height: "100%", color: theme.colors.text.secondary }}>No data</div>;
}

const KINDS = { timeseries: TimeSeriesPanel, stat: StatPanel, table: TablePanel };

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const unit = (width - 2 * GAP + GAP) / 24;
  const place = { position: "absolute", left: GAP + x * unit, top: y * row, width: w * unit - GAP, height: h * row - GAP };
  if (panel.type === "row") {
    return <div style={{ ...place, height: row, paddingTop: 6, fontWeight: 500, fontSize: 16 }}>⌄ {panel.title}</div>;
  }
  const Kind = KINDS[panel.type];
  return (
    <div style={place}>
      <PanelChrome width={place.width} height={place.height} title={panel.title} description={panel.description}>
        {(w, h) => <Kind panel={panel} w={w} h={h} />}
      </PanelChrome>
    </div>
  );
}

function Page() {
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ padding: "6px 16px", fontSize: 20, height: 30, lineHeight: '30px', marginBottom: 10 }}>
        {dashboard.title}
        {dashboard.uid === "tradingbot-bot" ? ` ${bot}` : ""}
      </div>
      <div style={{ position: "relative" }}>{dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div>
    </ThemeContext.Provider>
  );
}

Object.assign(document.body.style, { margin: 0, background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: "Inter, Helvetica, Arial, sans-serif", fontSize: "14px", lineHeight: 1.57 });
createRoot(document.getElementById("root")).render(<Page />);
