# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# For tests of how servers are asked, which need no appliance: they run the
# library on LUKS files by common/clevis/vault/unlock-file.  Sourced after
# functions.sh.
#
# shellcheck shell=bash

requires_tang
requires jq curl openssl

unlock=$top_builddir/common/clevis/vault/unlock-file
[ -x "$unlock" ] || skip "no $unlock: make check in common/clevis makes it"

# Only a test of proxies has any.
unset http_proxy https_proxy all_proxy no_proxy
unset HTTPS_PROXY ALL_PROXY NO_PROXY

# Run it; sets status, $out and $err, and the time it took in milliseconds.
unlock_file ()
{
  local start
  start=$(date +%s%N)
  run_command timeout 120 "$unlock" "$@"
  took=$((($(date +%s%N) - start) / 1000000))
}

# The last run gave the passphrase of this file's keyslot 1.
assert_opens ()
{
  assert_status 0
  head -c -1 "$out" > recovered
  cryptsetup open --test-passphrase --key-file recovered --key-slot 1 "$1" ||
    fail "the passphrase does not open $1"
}

# The last run failed with this status, and an error matches.
assert_refused ()
{
  assert_status "$1"
  assert_no_stdout
  assert_stderr_matches "$2"
}

assert_faster_than ()
{
  [ "$took" -lt "$1" ] || fail "it took $took ms, not less than $1"
}

assert_slower_than ()
{
  [ "$took" -ge "$1" ] || fail "it took $took ms, less than $1"
}

# A device bound to the keys of a server by a URL that nobody needs to be
# reached at:  bound_to FILE NAME URL
bound_to ()
{
  bound_piece "$1" tang "$(config_at "$2" "$3")"
}

# The configuration of a tang pin with another URL:  config_at NAME URL
config_at ()
{
  local url=TANG_URL_$1
  curl -s -g "${!url}/adv" > "$1.adv" || fail "no advertisement of $1"
  jq -n --arg url "$2" --arg adv "$PWD/$1.adv" '{url: $url, adv: $adv}'
}

# Devices whose tokens name these URLs, with the keys of a server, each token as
# a disk's owner would write it by hand.  Sets files, and spellings to the URLs;
# each file has as many tokens as its small header has room for.
#   spell NAME URL...
spelled_each=5
spell ()
{
  local url header n=0
  bound_piece base.luks tang "$(tang_config "$1")"
  shift
  spellings=("$@")
  cryptsetup token export --token-id 0 base.luks > base.json ||
    fail 'cryptsetup token export'
  jq -j .jwe.protected base.json | jose b64 dec -i - > header.json
  cryptsetup token remove --token-id 0 base.luks
  files=()
  for url in "${spellings[@]}"; do
    if [ $((n % spelled_each)) -eq 0 ]; then
      files+=("d${#files[@]}.luks")
      cp base.luks "${files[${#files[@]}-1]}"
    fi
    header=$(jq -cj --arg url "$url" '.clevis.tang.url = $url' header.json |
               jose b64 enc -I -)
    jq -c --arg p "$header" '.jwe.protected = $p' base.json > token.json
    cryptsetup token import --token-id $((n % spelled_each)) \
      --json-file token.json "${files[${#files[@]}-1]}" ||
      fail "cryptsetup token import: $url"
    n=$((n + 1))
  done
}

# The last run refused each of them before anything was tried.
assert_all_refused ()
{
  local i=0 url
  assert_status 2
  assert_no_stdout
  for url in "${spellings[@]}"; do
    grep -E "^(policy|token|limit): d$((i / spelled_each)).luks: token $((i % spelled_each)): " \
      "$err" > lines || fail "not refused: $url"
    i=$((i + 1))
  done
  ! grep -E '^(unreachable|http|no-key|reply|system): ' "$err" ||
    fail 'something was asked'
}

# A port that was free a moment ago; sets free_port.
find_free_port ()
{
  start_blackhole unused
  end_server unused
  # shellcheck disable=SC2154
  free_port=$TANG_PORT_unused
}

# A server that fails so many times, with the bytes of a file, before it is the
# Tang server NAME; its connections are counted in COUNT-FILE.
#   start_flaky NAME TIMES FILE TANG-NAME
start_flaky ()
{
  local dir=TANG_DIR_$4
  : > "$1.count"
  cat > "$1.sh" <<EOF
echo >> $(printf %q "$PWD/$1.count")
if [ "\$(wc -l < $(printf %q "$PWD/$1.count"))" -le $2 ]; then
  exec bash $(printf '%q %q' "$top_srcdir/tests/guests/answer.sh" "$PWD/$3")
fi
exec $(tangd_command "${!dir}")
EOF
  start_server "$1" "exec bash $(printf %q "$PWD/$1.sh")"
}

# The bytes of a reply:  reply FILE STATUS-LINE [HEADER...]
reply ()
{
  local file=$1
  shift
  {
    printf 'HTTP/1.1 %s\r\n' "$@"
    printf 'Content-Length: 0\r\nConnection: close\r\n\r\n'
  } | sed '2,$s,^HTTP/1.1 \([A-Z][A-Za-z-]*:\),\1,' > "$file"
}

# A CA and its certificates, in the folder of the test:  make_ca NAME
make_ca ()
{
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$1.key" -out "$1.pem" -days 30 -subj "/CN=$1" \
    2> openssl.log || fail "openssl: $(cat openssl.log)"
}

#   make_cert CA NAME SUBJECT-ALT-NAME [OPENSSL-OPTION...]
make_cert ()
{
  local days=(-days 30)
  [ $# -le 3 ] || days=("${@:4}")
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$2.key" -out "$2.csr" -subj "/CN=$2" 2> openssl.log &&
    openssl x509 -req -in "$2.csr" -CA "$1.pem" -CAkey "$1.key" \
      -CAcreateserial -out "$2.pem" "${days[@]}" \
      -extfile <(echo "subjectAltName=$3") 2>> openssl.log ||
    fail "openssl: $(cat openssl.log)"
}

# A certificate that was good until yesterday.  OpenSSL 3.5 makes none that
# ends before it begins, and openssl x509 takes dates only since 3.4.
#   make_expired_cert CA NAME SUBJECT-ALT-NAME
make_expired_cert ()
{
  make_cert "$@"
  cat > ca.conf <<END
[ca]
default_ca = the_ca
[the_ca]
database = ca.index
new_certs_dir = .
default_md = sha256
rand_serial = yes
policy = names
[names]
commonName = supplied
END
  : > ca.index
  openssl ca -batch -notext -config ca.conf \
    -cert "$1.pem" -keyfile "$1.key" -in "$2.csr" -out "$2.pem" \
    -startdate "$(date -u -d '2 days ago' +%Y%m%d%H%M%SZ)" \
    -enddate "$(date -u -d '1 day ago' +%Y%m%d%H%M%SZ)" \
    -extfile <(echo "subjectAltName=$3") 2> openssl.log ||
    fail "openssl: $(cat openssl.log)"
}

# A server that passes what comes by TLS on to a port:
#   start_tls NAME CERTIFICATE PORT [SOCAT-OPTION]
start_tls ()
{
  local log=$tmp/$1.log pid port=
  : > "$log"
  setsid socat -d -d -t 5 \
    "OPENSSL-LISTEN:0,bind=$listen_on,reuseaddr,fork,cert=$2.pem,key=$2.key,${4-verify=0}" \
    "TCP:$listen_on:$3" </dev/null >/dev/null 2> "$log" &
  pid=$!
  groups+=("$pid")
  listens ()
  {
    port=$(sed -n 's/^.* listening on AF=2 [0-9.]*:\([0-9]*\)$/\1/p' "$log" |
             head -n 1)
    [ -n "$port" ]
  }
  wait_for 20 listens || fail "no TLS server $1: $(cat "$log")"
  printf -v "TANG_PORT_$1" %s "$port"
  printf -v "TANG_PID_$1" %s "$pid"
  printf -v "TANG_LOG_$1" %s "$log"
}
