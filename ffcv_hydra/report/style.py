"""How a report looks: one column, light or dark as the reader's system is, the same on a phone and in print."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --text: #1c2430; --quiet: #5c6675; --line: #dfe3e8; --soft: #f4f6f8; --bar: #cfe0f5;
  --good: 26 127 84; --bad: 200 60 45; --onheat: #fff;
  --c0: #2563a8; --c1: #d9622b; --c2: #2c8a5b; --c3: #8b4fb0; --c4: #b08900; --c5: #a8325f;
}
@media (prefers-color-scheme: dark) { :root {
  --page: #14181d; --text: #e3e7ec; --quiet: #98a3b0; --line: #303842; --soft: #1d232a; --bar: #284a6e;
  --good: 52 168 113; --bad: 226 92 75; --onheat: #fff;
  --c0: #6aa9ee; --c1: #f0935f; --c2: #5cc48f; --c3: #c08be0; --c4: #d8b545; --c5: #e57aa2;
} }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
main { max-width: 960px; margin: 0 auto; padding: 28px 20px 60px }
header { border-bottom: 1px solid var(--line); padding-bottom: 18px }
h1 { font-size: 26px; line-height: 1.2; margin: 0 }
h2 { font-size: 19px; margin: 38px 0 12px }
h3 { font-size: 15px; margin: 22px 0 8px }
p { margin: 8px 0; max-width: 70ch }
.about, .note, small { color: var(--quiet) }
.about { margin: 4px 0 0 }
.status { display: inline-block; vertical-align: 3px; margin-left: 10px; padding: 1px 10px; border-radius: 99px;
  font-size: 13px; font-weight: 600; color: #fff; background: rgb(var(--bad)) }
.status.completed { background: rgb(26 127 84) }
.status.running, .status.pruned { background: #5c6675 }
.ended { border-left: 3px solid rgb(var(--bad)); background: var(--soft); padding: 10px 14px; margin: 16px 0 0;
  white-space: pre-wrap; max-width: none }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin: 18px 0 0 }
.key div { background: var(--soft); border-radius: 8px; padding: 10px 14px }
.key b { display: block; font-size: 21px; line-height: 1.3 }
.key span { color: var(--quiet); font-size: 13px }
table { border-collapse: collapse }
th { font-weight: 500; color: var(--quiet); text-align: left }
.wide { overflow-x: auto }
.wide + .wide, .wide + .facts { margin-top: 16px }
.list th, .list td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top }
.list thead th { font-size: 13px }
.list th { white-space: nowrap }
.list .n { text-align: right; white-space: nowrap }
.list td { max-width: 480px }
.facts th, .facts td { padding: 3px 18px 3px 0; vertical-align: top }
.facts th { white-space: nowrap }
.bar { display: block; min-width: 150px; padding: 0 8px; border-radius: 3px;
  background: linear-gradient(var(--bar), var(--bar)) 0 0 / var(--w) 100% no-repeat }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 14px 26px }
figure { margin: 0 }
svg { display: block; width: 100%; height: auto }
svg text { fill: var(--quiet); font-size: 12px }
svg .title { fill: var(--text); font-size: 14px; font-weight: 600 }
svg .grid { stroke: var(--line); fill: none }
svg .line path { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round }
svg .line circle { fill: currentColor }
.c0 { color: var(--c0) } .c1 { color: var(--c1) } .c2 { color: var(--c2) }
.c3 { color: var(--c3) } .c4 { color: var(--c4) } .c5 { color: var(--c5) }
.chart figcaption { font-size: 13px; color: var(--quiet); display: flex; flex-wrap: wrap;
  gap: 2px 16px; padding-left: 12% }
.chart figcaption b { color: var(--text); font-weight: 600 }
.chart i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; background: currentColor;
  vertical-align: 4px; margin-right: 6px }
.matrix { font-size: 13px; margin: 8px 0 }
.matrix td { min-width: 38px; height: 32px; padding: 0 5px; text-align: center; border: 1px solid var(--line) }
.matrix td.axes { border: 0; color: var(--quiet); font-size: 12px; vertical-align: bottom; text-align: right;
  white-space: nowrap }
.matrix tbody th { text-align: right; padding-right: 8px; white-space: nowrap; color: var(--text) }
.matrix thead th { vertical-align: bottom; text-align: center; padding-bottom: 4px; color: var(--text) }
.matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap }
.right { background: rgb(var(--good) / var(--a)) } .wrong { background: rgb(var(--bad) / var(--a)) }
.strong { color: var(--onheat) }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 18px 16px }
.mistakes figure { display: flex; flex-direction: column }
.mistakes img { width: 100%; height: 140px; object-fit: contain; background: var(--soft); border-radius: 6px }
.mistakes .small { image-rendering: pixelated }
.mistakes figcaption { font-size: 13px; line-height: 1.35; padding-top: 6px }
.mistakes small { display: block; font-size: 12px }
details { margin: 10px 0 }
summary { cursor: pointer; color: var(--c0) }
pre { background: var(--soft); border-radius: 8px; padding: 12px 16px; overflow-x: auto; font-size: 13px;
  line-height: 1.45;
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: normal }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--quiet); font-size: 13px }
@media (max-width: 500px) { main { padding: 20px 14px 40px } .facts th { white-space: normal } }
@media print { main { max-width: none } details > * { display: block } }
"""
