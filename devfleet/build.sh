#!/usr/bin/env bash
# Builds devfleet: build.sh OUT
#
# The first build compiles Kubernetes: about five minutes on two cores. Later ones take seconds, because Go's
# build cache keeps what has not changed. This is the one place that says which version the clusters report;
# it comes from go.mod.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: build.sh OUT" >&2
  exit 2
fi
mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")"

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes) # v1.36.3
IFS=. read -r major minor _ <<<"${version#v}"
package=k8s.io/component-base/version
# A module has no commit that we could name; kubectl and clients only print it.
flags="-s -w -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
flags+=" -X $package.gitCommit=devfleet -X $package.gitTreeState=clean"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
# -v prints the name of each package that is compiled; nothing for those in the cache.
CGO_ENABLED=0 go build -v -trimpath -ldflags "$flags" -o "$out" . 2>"$log" &
build=$!
trap 'kill "$build" 2>/dev/null || true; rm -f "$log"' INT TERM

say() {
  local done
  done=$(wc -l <"$log")
  if [ "$done" -eq 0 ]; then
    echo "devfleet: checking what has to be compiled … $((SECONDS - start)) s"
  else
    echo "devfleet: compiled $done of at most $total packages … $((SECONDS - start)) s (the first build takes about 5 minutes)"
  fi
}

total=$(CGO_ENABLED=0 go list -deps . 2>/dev/null | wc -l)
last=$SECONDS
while kill -0 "$build" 2>/dev/null; do
  if [ -t 2 ]; then
    printf '\r\033[K%s' "$(say)" >&2
  elif [ $((SECONDS - last)) -ge 15 ]; then
    say >&2
    last=$SECONDS
  fi
  sleep 0.5
done
[ -t 2 ] && printf '\r\033[K' >&2
if ! wait "$build"; then
  # Names of packages are no errors; what is left says what went wrong.
  grep -v '^[a-z0-9.]*\(/[A-Za-z0-9._-]*\)*$' "$log" >&2 || cat "$log" >&2
  echo "devfleet: building failed" >&2
  exit 1
fi
echo "devfleet: $out ($version) built in $((SECONDS - start)) s" >&2
