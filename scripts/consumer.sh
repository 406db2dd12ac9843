#!/bin/bash
# Uses the package as another project would: builds and packs it, installs the tarball into a copy of examples/consumer
# outside of this repository, checks the types there and runs the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
modules=$PWD/node_modules
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

npm run --silent build
cp examples/consumer/{package.json,tsconfig.json} "$copy"
cp -r examples/consumer/src "$copy"
npm pack --silent --pack-destination "$copy" >/dev/null
mv "$copy"/xen-lun-*.tgz "$copy/xen-lun.tgz"

cd "$copy"
npm install --omit=dev --no-package-lock --no-audit --no-fund
# Its other dependencies are ours as well, so they need no second download.
mkdir -p node_modules/@types
ln -s "$modules/vitest" node_modules/vitest
ln -s "$modules/@types/node" node_modules/@types/node
"$modules/.bin/tsc"
"$modules/.bin/vitest" run
