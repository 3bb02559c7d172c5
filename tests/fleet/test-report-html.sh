#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The HTML report of 500 guests in Chromium, at 400 and at 1600 pixels, in light
# and in dark: axe finds nothing, nothing is loaded, the page does not scroll
# sideways, and the keyboard reaches it.
#
# REPORT_PICTURES   a folder in which the pictures are kept
#
# timeout: 300

. "$(dirname "$0")/../lib/functions.sh"
requires chromium node npm python3

here=$top_srcdir/tests/fleet
helper=$top_builddir/nbde/fleet/report/helper_report
[ -x "$helper" ] || skip "no $helper: make check in nbde/fleet makes it"

# What comes from npm is kept with the guests of tests.
packages=$(test_cache)/npm-$(sha256sum < "$here/package-lock.json" | cut -c 1-16)
axe=$packages/node_modules/axe-core/axe.min.js
if [ ! -e "$axe" ]; then
  mkdir -p "${packages%/*}" new
  cp "$here/package.json" "$here/package-lock.json" new
  (cd new && npm ci --ignore-scripts --no-audit --no-fund) > npm.log 2>&1 ||
    skip "npm: $(tail -n 1 npm.log)"
  rm -rf "$packages"
  mv new "$packages"
fi

"$here/make-state.py" --hostile fleet
"$helper" fleet html page.html || fail 'no report'
pictures=${REPORT_PICTURES:-$tmp/pictures}
mkdir -p "$pictures"

# look PAGE
look ()
{
  run_command timeout 200 node "$here/browser.mjs" chromium "$1" "$axe" "$pictures"
  rm -rf "$pictures/profile"
}

look page.html
assert_status 0
assert_no_stdout
for width in 400 1600; do
  for scheme in light dark; do
    [ -s "$pictures/$width-$scheme.png" ] || fail "no picture: $width $scheme"
  done
done
[ -s "$pictures/paper.pdf" ] || fail 'nothing on paper'

# What is wrong would be seen.
cat > bad.html <<'END'
<!DOCTYPE html><html><head><title></title></head><body>
<p style="color:#aaa;background:#fff;width:2000px">pale</p>
<img src="other.png"><script>console.log(1)</script></body></html>
END
pictures=$tmp/bad-pictures
mkdir "$pictures"
look bad.html
assert_status 1
for said in 'asks for file:.*/other.png' 'the console says' 'scrolls sideways' \
            'axe: color-contrast' 'axe: image-alt' 'axe: html-has-lang' \
            'Tab does not show' 'the page has a script'; do
  assert_stdout_matches "$said"
done
