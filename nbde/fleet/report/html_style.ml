(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How the HTML report looks: calm, since most of a fleet is well.  Colour never
 * says anything alone: there is a mark and a word beside it.
 *)

(* Text in these colours has a contrast of at least 4.5 on both backgrounds. *)
let colours = {|
:root { color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #1b1f24; --soft: #545d68;
  --line: #d9dee4; --faint: #eef0f3; --link: #0b57a4; --focus: #0b57a4;
  --good: #1a7f37; --thin: #5d7314; --old: #8a5d00;
  --ask: #0b62c4; --bad: #c01f2b; --net: #b04600; --odd: #7a45d1; --none: #545d68; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0e1116; --card: #171b22; --ink: #e4e9ef; --soft: #9fa9b5;
  --line: #2e353e; --faint: #20262e; --link: #79b8ff; --focus: #79b8ff;
  --good: #46c05c; --thin: #b5c75a; --old: #d9a431;
  --ask: #66adff; --bad: #ff7d75; --net: #f2934e; --odd: #c19bff; --none: #9fa9b5; } }
.opens { --own: var(--good); }
.opens-with-nothing-to-spare { --own: var(--thin); }
.not-asked { --own: var(--ask); }
.failed, .gone { --own: var(--bad); }
.unreachable, .unknown { --own: var(--net); }
.command-failed, .error, .killed, .damaged { --own: var(--odd); }
.unbound { --own: var(--none); }
.advertised, .answers { --own: var(--good); }
.rotated, .unadvertised { --own: var(--old); }
.no-answer { --own: var(--net); }
|}

let text = {|
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; font-weight: 650;
  letter-spacing: -.01em; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 .75rem;
  font-weight: 650; }
h3 { font-size: 1rem; margin: 1.75rem 0 .25rem; font-weight: 650; }
p { margin: 0 0 .75rem; max-width: 70ch; }
a { color: var(--link); text-underline-offset: .15em; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: .875em;
  text-underline-offset: .3em; }
.away { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px;
  border-radius: 4px; }
.skip { position: absolute; left: 1rem; top: -4rem; background: var(--card);
  padding: .5rem 1rem; border-radius: 0 0 8px 8px; }
.skip:focus { top: 0; }
.mark { width: 1em; height: 1em; flex: none; color: var(--own); fill: none;
  stroke: currentColor; stroke-width: 2; stroke-linecap: round;
  stroke-linejoin: round; vertical-align: -.125em; }
.badge { display: inline-flex; gap: .4em; align-items: baseline; }
.badge .mark { align-self: center; }
|}

let page = {|
.top, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
.top { padding-top: 2rem; padding-bottom: 1.25rem; display: flex;
  flex-wrap: wrap; gap: 1rem 3rem; align-items: end; justify-content: space-between; }
.top p { margin: 0; }
.facts { margin: 0; display: flex; flex-wrap: wrap; gap: .5rem 2rem;
  font-size: .875rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; }
nav ul { list-style: none; margin: 0 0 1.25rem; padding: 0; display: flex;
  flex-wrap: wrap; gap: .25rem 1.5rem; }
nav a { display: inline-block; padding: .25rem 0; }
.card { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 1.5rem; margin: 0 0 1.25rem; }
.pair { display: grid; gap: 1.25rem; margin-bottom: 1.25rem; }
.pair > .card { margin: 0; min-width: 0; }
@media (min-width: 66rem) { .pair { grid-template-columns: 3fr 2fr; } }
.big { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline;
  margin: 0 0 1rem; max-width: none; }
.big strong { font-size: 3.25rem; line-height: 1; font-weight: 650;
  letter-spacing: -.03em; }
.big span { font-size: 1.125rem; }
.bar { display: flex; gap: 2px; height: 1rem; margin: 0 0 1.25rem;
  border-radius: 6px; overflow: hidden; }
.bar i { background: var(--own); min-width: 4px; }
.todo { margin: 0; padding-left: 1.4rem; }
.todo li { margin: 0 0 .6rem; padding-left: .25rem; }
.todo li::marker { color: var(--soft); }
.todo a { color: inherit; text-decoration-color: var(--soft); }
.todo a:hover { color: var(--link); text-decoration-color: currentColor; }
footer { padding-top: .5rem; padding-bottom: 3rem; }
@media (max-width: 40rem) {
  .top, main, footer { padding-left: .75rem; padding-right: .75rem; }
  .top { padding-top: 1.25rem; }
  .card { padding: 1rem; border-radius: 10px; } }
|}

let tables = {|
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
caption { text-align: left; color: var(--soft); font-size: .875rem;
  padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem;
  border-top: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; font-size: .875rem;
  vertical-align: bottom; border-top: 0; }
tbody th { font-weight: 500; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; width: 1%; }
thead th { overflow-wrap: normal; }
.scroll { overflow-x: auto; }
.wide .badge { white-space: nowrap; }
/* Where there is no room for columns, each row is a block. */
@media screen and (max-width: 44rem) {
  .wide, .wide tbody, .wide caption { display: block; }
  .wide thead { display: none; }
  .wide tr { display: flex; flex-wrap: wrap; gap: 0 1.25rem;
    border-top: 1px solid var(--line); padding: .5rem 0; }
  .wide th, .wide td { display: block; width: auto; border: 0; padding: 0; }
  .wide th { flex: 0 0 100%; }
  .wide td[data-label]::before { content: attr(data-label) " ";
    color: var(--soft); font-size: .875rem; }
  .wide td:empty { display: none; } }
div + .guests { margin-top: 1.25rem; }
.guests table { table-layout: fixed; }
.guests th:first-child { width: 26%; }
@media (max-width: 40rem) { .guests th:first-child { width: 36%; } }
.guests td p { margin: 0 0 .25rem; max-width: none; }
/* Accents without end stay in their own line. */
th, td, .guests p, .names li, .in > p { overflow: clip;
  overflow-clip-margin: 6px; }
|}

let details = {|
details { border-top: 1px solid var(--line); }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .7rem 0 .7rem 1.5rem; position: relative;
  display: flex; gap: .25rem 1.5rem; justify-content: space-between;
  align-items: baseline; flex-wrap: wrap; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary::before { content: ""; position: absolute; left: .2rem; top: 1.2rem;
  width: .45rem; height: .45rem; border: solid var(--soft);
  border-width: 0 2px 2px 0; transform: rotate(-45deg); }
details[open] > summary::before { transform: rotate(45deg); top: 1.1rem; }
summary:hover { background: var(--faint); }
summary > :first-child { flex: 1 1 16rem; min-width: 0; font-weight: 500; }
.in { padding: 0 0 1.25rem 1.5rem; }
.in details { border: 0; }
.in summary { padding-top: .35rem; padding-bottom: .35rem; }
.in summary::before { top: .85rem; }
.in details[open] > summary::before { top: .75rem; }
.hint { border-left: 3px solid var(--line); padding-left: .75rem; }
.names { list-style: none; margin: 0; padding: 0 0 .5rem 1.5rem;
  columns: 8.5rem; column-gap: 1.5rem; font-size: .9375rem; }
.names li { break-inside: avoid; }
@media (max-width: 40rem) { .in { padding-left: 0; } }
|}

(* Paper cannot be opened: everything is shown. *)
let paper = {|
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --faint: #fff; --link: #000; --good: #1a7f37; --thin: #5d7314;
    --old: #8a5d00; --ask: #0b62c4; --bad: #c01f2b; --net: #b04600; --odd: #7a45d1;
    --none: #545d68; }
  html { font-size: 10pt; }
  nav, .skip { display: none; }
  .top, main, footer { max-width: none; padding: 0; }
  .top { margin-bottom: 1.5rem; }
  .todo { padding-left: 2rem; }
  .card { border: 0; padding: 0; margin-bottom: 1.5rem; }
  .bar, .mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  summary::before { display: none; }
  summary, .in { padding-left: 0; }
  details::details-content { content-visibility: visible; block-size: auto; }
  tr, li, summary { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; } }
@media (forced-colors: active) { .bar i { forced-color-adjust: none; } }
|}

let css = String.concat "" [colours; text; page; tables; details; paper]
