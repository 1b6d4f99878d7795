#!/usr/bin/env bash
# A whole study on a cluster: bash profiles/drive.sh PROFILE [options of Snakemake, such as --configfile STUDY.yaml]
# Each step takes up where an earlier run stopped: tables, splits and embeddings; a plan; its shards; what they finished is
# put in place; and last whatever is still missing, up to the report.
# SIGTERM or SIGUSR1 stops it with status 75: nothing more is submitted, and after GRACE seconds running jobs are
# cancelled, which makes them write their checkpoints. The same command continues.
set -euo pipefail -m # -m: children get SIGINT, which a script's children otherwise ignore
profile=${1:?usage: bash profiles/drive.sh PROFILE [options of Snakemake]}
shift
GRACE=${GRACE:-120}
child= stopping=

stop() {
  stopping=1
  [ -n "$child" ] || exit 75
  kill -TERM "$child" 2>/dev/null || true                        # Snakemake: submit no more, wait for what runs
  (sleep "$GRACE" && kill -INT "$child" 2>/dev/null || true) & # and then: cancel what still runs
}
trap stop TERM USR1

run() {
  [ -z "$stopping" ] || exit 75
  snakemake --workflow-profile "$profile" "${options[@]}" "$@" &
  child=$!
  status=0
  while kill -0 "$child" 2>/dev/null; do wait "$child" && status=0 || status=$?; done # a trapped signal ends `wait` early
  child=
  [ -z "$stopping" ] || exit 75
  return "$status"
}

options=("$@")
echo "multimep: tables, splits, embeddings"
run -- prepared
summary=$(run --summary 2>/dev/null)
results=$(dirname "$(cut -f1 <<<"$summary" | grep --max-count=1 '/report.html$')")
echo "multimep: plan"
multimep plan --config "$results/config.json" --results "$results" --needed - --output "$results/plan.json" <<<"$summary"
echo "multimep: shards"
run -- shards || echo "multimep: some shards failed; what they did not finish is made one by one"
multimep collect "$results/plan.json" --ahead "$results/ahead" >"$results/collected.txt"
if [ -s "$results/collected.txt" ]; then
  mapfile -t collected <"$results/collected.txt"
  run --touch -- "${collected[@]}"
fi
echo "multimep: what is left, and the report"
run
echo "multimep: the report is $results/report.html"
