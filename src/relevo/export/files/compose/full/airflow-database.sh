#!/bin/sh
# Airflow asks this for its database: the password comes from its secret, and stands in no setting.
set -eu
printf 'postgresql+psycopg2://airflow:%s@postgres:5432/airflow' "$(cat /run/secrets/airflow_db_password)"
