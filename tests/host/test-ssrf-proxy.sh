#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The host that a pattern of --tang-allow is compared with is the one that a
# proxy is told to ask: a proxy writes down what it gets, for many spellings of
# names below an allowed domain and of names that only look so.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

# A proxy that notes the first line of each request and the header Host, and
# asks nobody.
cat > proxy.sh <<EOF
while IFS= read -r line; do
  line=\${line%\$'\\r'}
  [ -n "\$line" ] || break
  case \$line in
    *HTTP/1.1 | [Hh]ost:*) printf '%s\\n' "\$line" ;;
  esac
done >> $(printf %q "$PWD/requests")
printf 'HTTP/1.1 502 No\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n'
EOF
: > requests
start_server proxy "exec bash $(printf %q "$PWD/proxy.sh")"
start_tang one

# What is allowed, with the host that the proxy must see.
declare -A good=(
  ['http://tang.example.com']=tang.example.com
  ['http://TANG1.Example.COM:80/']=tang1.example.com
  ['tang_2.example.com:8080/nbde/']=tang_2.example.com:8080
  ['http://tang3.example.com.']=tang3.example.com.
  ['http://xn--bcher-kva.example.com/a']=xn--bcher-kva.example.com
  ['http://127.0.0.1.example.com']=127.0.0.1.example.com
  ['http://0x7f.1.example.com:81']=0x7f.1.example.com:81
)
spell one "${!good[@]}"
unlock_file --allow '*.example.com' --retries 0 \
  --proxy "$TANG_URL_proxy" "${files[@]}"
assert_status 2
for host in "${good[@]}"; do
  grep -q "^POST http://${host//./\\.}/\(.*/\)\?rec/" requests ||
    fail "the proxy was not told to ask $host: $(cat requests)"
done
assert_equal ${#good[@]} "$(grep -c ^POST requests)" 'requests by the proxy'
assert_equal ${#good[@]} \
  "$(grep -c '^Host: .*\.example\.com\.\?\(:[0-9]*\)\?$' requests)" \
  'headers with the host'

# What is not, and must not look so to one and otherwise to the other.
urls=()
for inner in 127.0.0.1 '[::1]'; do
  for end in ／ ： ＃ ？ ＠ ＼ ％ %2f %3a %23 %3f %40 %5c %00 %0d%0a %20 '%' \
             / '?' '#' '@' '\' ';' ',' '&' '|' '^' ' ' $'\t' $'\x7f' ⁄ ∕ ⧵ ℀ ℁ \
             ⅍ 。 ．． .. '*' '(' "'" '"' '<' '{' '~' '+' '=' '!' '$'; do
    urls+=("http://$inner$end.example.com/")
  done
  urls+=("http://$inner:80／.example.com" "http://$inner：80／a.example.com"
         "http://a.example.com＠$inner" "http://a.example.com@$inner"
         "http://a.example.com%40$inner" "http://a.example.com／@$inner"
         "http://$inner.example.com.:80:81" "http://.example.com@$inner")
done
urls+=('http://example.com' 'http://.example.com' 'http://..example.com'
       'http://a..example.com' 'http://a.example.com..' 'http://-.example.com'
       'http://aexample.com' 'http://a.example.com.evil.invalid'
       'http://a.example.com.1' 'http://ａ.example.com' 'http://a.ｅxample.com'
       'http://a.example.com:8０' 'http://a。example.com' 'http://a.example.cOm%'
       "http://$(printf 'a%.0s' {1..64}).example.com"
       "http://$(printf 'a.%.0s' {1..125}).example.com")
spell one "${urls[@]}"
: > requests
unlock_file --allow '*.example.com' --retries 0 \
  --proxy "$TANG_URL_proxy" "${files[@]}"
assert_all_refused
assert_equal '' "$(cat requests)" 'what the proxy was told'
