# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Something that kubectl takes for a cluster: api.py keeps objects and does nothing with
# them.  Sourced after functions.sh and fleet-world.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154

requires kubectl openssl python3

# Start it; requests are in the file requests, and the log of all pods is log.
start_api ()
{
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout api.key -out api.cert -days 2 -subj /CN=api \
    -addext subjectAltName=IP:127.0.0.1 2> "$err" || fail 'no certificate'
  echo '<html>' > log
  setsid python3 "$top_srcdir/tests/fleet/kubernetes/api.py" api.cert api.key log \
    requests > port 2> api.err </dev/null &
  groups+=("$!")
  wait_for 20 test -s port || fail "no API: $(cat api.err)"

  # This API has no schemas; test-kubernetes.sh checks fields.
  local kubectl
  kubectl=$(command -v kubectl)
  cat > world/kubectl <<END
#!/bin/bash
case \$1 in
  apply | create | replace)
    [[ " \$* " == *' generic '* ]] || set -- "\$@" --validate=false ;;
esac
exec $kubectl "\$@"
END
  chmod +x world/kubectl
}

# Who kubectl is from now on: "admin", or "fleet", who may create Secrets.
as_user ()
{
  cat > "$tmp/kubeconfig.$1" <<END
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {server: "https://127.0.0.1:$(cat port)",
            certificate-authority: $tmp/api.cert}
users: [{name: test, user: {token: $1}}]
contexts:
- name: test
  context: {cluster: test, user: test, namespace: virt-nbde-fleet}
current-context: test
END
  export KUBECONFIG=$tmp/kubeconfig.$1
}
