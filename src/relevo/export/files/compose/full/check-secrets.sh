#!/bin/sh
# Ends with an error that names each secret that is empty or cannot be read.
bad=
for file in /run/secrets/*; do
  [ -s "$file" ] && [ -r "$file" ] || bad="$bad ${file##*/}"
done
if [ -n "$bad" ]; then
  echo "Empty or unreadable secrets:$bad. Remove these files below secrets/, type ./secrets.sh, then docker compose up -d." >&2
  exit 1
fi
echo "All secrets are there."
