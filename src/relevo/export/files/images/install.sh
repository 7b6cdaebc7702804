#!/bin/sh
# install.sh PLACE NAME [relevo [MODULES]]: makes an environment of the pinned wheels in requirements/NAME.txt, and of
# Relevo: the wheel in wheels/ if there is one, otherwise the released version. Without MODULES everything is compiled to
# bytecode. With them the environment is made small: only what these import is compiled, and what no answer needs goes.
set -eu
place=$1
name=$2
with=${3:-}
modules=${4:-}
pip() {
  python3 -m pip --python "$place/bin/python3" --disable-pip-version-check install --no-cache-dir \
    --root-user-action ignore --no-compile --no-deps --only-binary :all: "$@"
}

python3 -m venv --without-pip "$place"
pip --requirement "requirements/$name.txt"
if [ "$with" = relevo ]; then
  set -- wheels/relevo-*.whl
  [ -e "$1" ] || set -- "relevo==$(cat relevo-version)"
  pip "$@"
fi
if [ -z "$modules" ]; then
  "$place/bin/python3" -m compileall -q -j 0 "$place/lib" || true # a file for another Python stays uncompiled
  exit
fi
cd "$place"/lib/python3*/site-packages
rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/datasets numpy/f2py
rm -f onnxruntime/capi/libonnxruntime.so.* # for programs in C; the Python module has its own copy of it
find . -type d -name tests -prune -exec rm -rf {} +
find . -name '*.pyi' -delete
"$place/bin/python3" -c "import $modules"
