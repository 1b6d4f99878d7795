#!/usr/bin/env bash
# A whole study, on this machine or a cluster: bash profiles/drive.sh PROFILE [options of Snakemake, such as --configfile STUDY.yaml]
# Each step takes up where an earlier run stopped: tables, splits and embeddings; a plan; its shards; what they finished is
# put in place; and last whatever is still missing, up to the report.
# SIGTERM or SIGUSR1 stops it with status 75: nothing more is submitted, and after GRACE seconds running jobs are
# cancelled, which makes them write their checkpoints. The same command continues.
set -euo pipefail -m # -m: children get SIGINT, which a script's children otherwise ignore
profile=${1:?usage: bash profiles/drive.sh PROFILE [options of Snakemake]}
shift
options=("$@")
GRACE=${GRACE:-120}
read -ra display <<<"${MULTIMEP_LOGGER:-}" # options of the steps alone, such as --logger rich: a summary is read
child='' timer='' stopping=''

stop() {
  [ -z "$stopping" ] || return 0
  stopping=1
  echo "multimep: asked to stop; running jobs have $GRACE s"
  [ -n "$child" ] || exit 75
  kill -TERM "$child" 2>/dev/null || true # Snakemake: submit no more, wait for what runs
  { sleep "$GRACE" && kill -INT "$child"; } &>/dev/null & # and then: cancel what still runs
  timer=$!
}
trap stop TERM USR1
trap 'GRACE=0; stop' INT # Ctrl-C

run() {
  [ -z "$stopping" ] || exit 75
  local status=0
  snakemake --workflow-profile "$profile" "${options[@]}" "$@" &
  child=$!
  while kill -0 "$child" 2>/dev/null; do wait "$child" && status=0 || status=$?; done # a trapped signal ends `wait` early
  child=''
  [ -z "$timer" ] || kill -- "-$timer" 2>/dev/null || true
  [ -z "$stopping" ] || exit 75
  return "$status"
}

directory() { # in which Snakemake works
  local index found=.
  for index in "${!options[@]}"; do
    case ${options[index]} in
      --directory=*) found=${options[index]#*=} ;;
      --directory | -d) found=${options[index + 1]:-.} ;;
    esac
  done
  echo "$found"
}

there() { (cd "$(directory)" && "$@"); }

folder() { # of the results as Snakemake names it, from the output of `snakemake --summary`
  dirname "$(cut -f1 <<<"$1" | grep --max-count=1 '/report.html$')"
}

seen() { # a file of Snakemake's folder from where this runs
  case $1 in /*) echo "$1" ;; *) echo "$(directory)/$1" ;; esac
}

require_room() { # jobs cannot say so themselves: their logs lie on the same disk; a quota does not show in `df`
  local results
  results=$(seen "$(folder "$(run --summary)")")
  [ -d "$results" ] || return 0
  if ! head --bytes=1M /dev/zero 2>/dev/null >"$results/.room"; then
    rm -f "$results/.room"
    echo "multimep: $results: no space left on the device; make room there, then give the same command again" >&2
    exit 2
  fi
  rm -f "$results/.room"
}

step() { # a failure is told by Snakemake itself, but for a full disk
  run "${display[@]}" "$@" || { local status=$?; require_room; return "$status"; }
}

work_ahead() { # the shards of the plan, and what they finished put in place
  local results=$1 collected
  echo "multimep: shards"
  step -- shards || echo "multimep: some shards failed; what they did not finish is made one by one"
  there multimep collect "$results/plan.json" --ahead "$results/ahead" >"$(seen "$results/collected.txt")"
  mapfile -t collected <"$(seen "$results/collected.txt")"
  if [ ${#collected[@]} -gt 0 ]; then
    run --touch --force -- "${collected[@]}" # force: up to date they are, but what made them is not on record
  fi
}

main() { # read as a whole before it begins: the file may change while the study runs
  local summary results
  case " ${options[*]} " in *" -n "* | *" --dry-run "* | *" --dryrun "*) # nothing to pack
    exec snakemake --workflow-profile "$profile" "${options[@]}" ;;
  esac
  echo "multimep: tables, splits, embeddings"
  step -- prepared
  summary=$(run --summary)
  results=$(folder "$summary")
  echo "multimep: plan"
  there multimep plan --config "$results/config.json" --results "$results" --needed - --output "$results/plan.json" \
    <<<"$summary"
  if grep --quiet '"lanes"' "$(seen "$results/plan.json")"; then work_ahead "$results"; fi
  echo "multimep: what is left, and the report"
  step
  echo "multimep: the report is $(seen "$results/report.html")"
  exit
}
main
