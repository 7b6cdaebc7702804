#!/bin/sh
# Makes the users and databases that are missing, and gives the users the passwords of the secrets: safe to repeat.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD PGHOST=postgres PGUSER=postgres PGDATABASE=postgres
for name in relevo mlflow airflow; do
  password=$(cat "/run/secrets/${name}_db_password")
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$name" --set password="$password" <<'SQL'
select format('create role %I login', :'name') where not exists (select from pg_roles where rolname = :'name') \gexec
select format('alter role %I password %L', :'name', :'password') \gexec
select format('create database %I owner %I', :'name', :'name')
  where not exists (select from pg_database where datname = :'name') \gexec
select format('revoke connect on database %I from public', :'name') \gexec
SQL
done
echo "The databases are there: relevo, mlflow, airflow."
