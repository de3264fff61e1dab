#!/usr/bin/env bash
# Install the Debian packages that some tests need: real programs to test against, which no wheel brings.
#
#   age           opens what we seal, and seals what we open
#   chromium      a browser, that sees pages of the gateway as people do
#   dbus-daemon   a private bus, over which a machine says that it goes to sleep
#   openssl       makes certificates, of an authority that nobody trusts
#   postgresql    a database that is backed up while it is written to
#   zstd          with tar, opens archives without this program
#
# Quick when all of them are there. Where they cannot be installed (no apt, no rights, no network) this says so and goes
# on: the tests that need them are skipped then, and say so as well.
set -euo pipefail

PACKAGES=(age chromium dbus-daemon openssl postgresql zstd)

missing=()
for package in "${PACKAGES[@]}"; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi

tell() {
  echo "packages  not installed: ${missing[*]} ($1). The tests that need them will be skipped." >&2
}

if ! command -v apt-get >/dev/null; then
  tell "there is no apt-get"
elif [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
  tell "this needs root, or sudo without a password"
else
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}")
  echo "packages  installing ${missing[*]}" >&2
  log=$(mktemp)
  # What apt knows may be old, or nothing at all: then it has to be told first.
  if ! "${as_root[@]}" "${install[@]}" >"$log" 2>&1; then
    "${as_root[@]}" apt-get update --quiet >>"$log" 2>&1 || true
    "${as_root[@]}" "${install[@]}" >>"$log" 2>&1 || { tail -n 5 "$log" >&2; tell "apt-get failed; its last words are above"; }
  fi
  rm -f "$log"
fi
