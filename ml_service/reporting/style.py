"""How the report's page looks: in light and dark, on a phone, and on paper.

Law: one sheet, set inside the page; nothing is loaded, and charts take their colours from here.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --ground: light-dark(#f5f7f6, #101618); --surface: light-dark(#fff, #182022); --ink: light-dark(#182225, #e7eded);
  --muted: light-dark(#526167, #a2b1b4); --line: light-dark(#dde4e3, #2b3639); --warn: light-dark(#7d4700, #f0c27a);
  --bar: light-dark(#3a8990, #4fa3aa); --band: light-dark(#cfe3e4, #24464a); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 2.5vw, 2rem) 3rem; display: grid; gap: 1.1rem;
  grid-template-columns: minmax(0, 1fr); overflow-wrap: anywhere; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.25rem; }
h1, h2, p, ul { margin: 0; }
h1 { font-size: 1.65rem; line-height: 1.2; }
h2 { font-size: 1.1rem; line-height: 1.3; margin-bottom: .5rem; }
p + p, .scrolls + p, .figures + p { margin-top: .6rem; }
section p, section li, header p { max-width: 50rem; }
header { display: grid; gap: .6rem; }
ul { padding-left: 1.2rem; }
.note { color: var(--warn); }
.scrolls { overflow-x: auto; margin-top: .6rem; }
.scrolls:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
td, th { padding: .35rem 1.2rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; min-width: 4.5rem; }
td:last-child, th:last-child { padding-right: 0; }
.range { white-space: nowrap; }
thead th { color: var(--muted); font-size: .86rem; font-weight: 560; vertical-align: bottom; }
tbody th { font-weight: 560; }
.figure { text-align: right; white-space: nowrap; }
.figures { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr));
  margin-top: .6rem; }
svg { display: block; width: 100%; height: auto; max-width: 27rem; }
svg text { font-family: system-ui, sans-serif; fill: var(--ink); }
.bars { display: grid; gap: .3rem .8rem; grid-template-columns: fit-content(40%) minmax(3rem, 22rem) auto;
  align-items: center; margin-top: .6rem; padding: 0; list-style: none; }
.bars li { display: contents; }
.bars svg { height: .9rem; max-width: none; }
.bars .figure { text-align: left; }
@media (max-width: 480px) { section { padding: .9rem; } }
@media print {
  :root { color-scheme: light; }
  body { background: #fff; font-size: 11px; }
  main { padding: 0; }
  section { border: 0; padding: 0; }
  h2, svg, tr { break-inside: avoid; break-after: avoid-page; }
  .scrolls { overflow: visible; }
}
"""
