#!/bin/sh
# Makes the secrets that are missing, each in a file of its own below secrets/, and names the folder in .env. What is there
# is kept, so it may be run again at any time; to change one, remove its file, run this, and `docker compose up -d`.
# The folder is closed to other users of this machine. The files in it are readable, because each part of the stack runs
# as a user of its own and sees only the files that it is given.
set -eu
umask 022
cd "$(dirname "$0")"
command -v openssl >/dev/null || { echo "secrets.sh needs openssl." >&2; exit 1; }
mkdir -p secrets
chmod 700 secrets
host=${1:-localhost}

write() { # NAME: from standard input, whole or not at all
  cat >"secrets/.$1"
  [ -s "secrets/.$1" ] || { echo "$1: nothing was made." >&2; exit 1; }
  chmod 444 "secrets/.$1"
  mv "secrets/.$1" "secrets/$1"
  echo "made secrets/$1"
}
password() {
  openssl rand -hex 24
}

make() { # NAME KIND
  case $2 in
    password) password | write "$1" ;;
    key) printf 'rlv_%s_%s\n' "$(openssl rand -hex 8)" "$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n')" | write "$1" ;;
    fernet) openssl rand -base64 32 | tr '+/' '-_' | write "$1" ;;
    airflow) printf '{"admin": "%s"}\n' "$(password)" | write "$1" ;;
    htpasswd)
      secret=$(password)
      printf '%s\n' "$secret" | write mlflow_password
      printf 'mlflow:%s\n' "$(printf '%s' "$secret" | openssl passwd -6 -stdin)" | write "$1" ;;
    absent) echo "secrets/$1 is missing, and is made with another: remove secrets/tls_certificate, type this again." >&2; exit 1 ;;
    tls)
      [ ! -s secrets/tls_key ] || { echo "secrets/tls_key is there without secrets/tls_certificate." >&2; exit 1; }
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host,DNS:localhost,DNS:nginx,IP:127.0.0.1" \
        -keyout secrets/.key -out secrets/.certificate 2>/dev/null
      write tls_certificate <secrets/.certificate
      write tls_key <secrets/.key
      rm -f secrets/.key secrets/.certificate
      echo "The certificate is signed by itself, for $host. Put a real one, and its key, in their place." ;;
  esac
}

while read -r name kind; do
  [ "$kind" != htpasswd ] || [ -s secrets/mlflow_password ] || rm -f "secrets/$name" # the password's hash, made with it
  [ -s "secrets/$name" ] || make "$name" "$kind"
done <secrets.txt
[ -e .env ] || : >.env
[ -z "$(tail -c 1 .env)" ] || echo >>.env # whoever wrote it left the last line open
grep -q '^SECRETS=' .env || echo "SECRETS=./secrets" >>.env
